/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The client's end of the wire protocol, in lock-step. After an error the connection is of no use
 * any more. Refuses answers to something else, and servers whose limits are too small to be of use.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/errorx.h"
#include "base/monotime.h"
#include "base/number.h"
#include "pmi/client-backend.h"

#define TIMEOUT_USEC   60000000
#define USEFUL_KEY_MAX 32 /* MPICH's recommended least */

struct wire {
    int fd;
    struct pmi_reader in;
    struct pmi_msg msg;
    char kvsname[PMI_NAME_MAX];
    char out[PMI_LINE_MAX];
};

/* --- exchange --- */

static int wait_for(int fd, short events, uint64_t deadline, flux_error_t *error)
{
    struct pollfd p = { .fd = fd, .events = events };

    for (;;) {
        const uint64_t now = monotime_usec();
        int n = now < deadline ? poll(&p, 1, (int)((deadline - now + 999) / 1000)) : 0;

        if (n > 0)
            return 0;
        if (n == 0)
            return errorx_fail(error, ETIMEDOUT, "the PMI server does not answer");
        if (errno != EINTR)
            return errorx_fail(error, errno, "PMI: %s", strerror(errno));
    }
}

static int send_line(struct wire *w, size_t len, uint64_t deadline, flux_error_t *error)
{
    for (size_t sent = 0; sent < len;) {
        int rc = wait_for(w->fd, POLLOUT, deadline, error);
        ssize_t n;

        if (rc < 0)
            return rc;
        n = send(w->fd, w->out + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == ENOTSOCK)
            n = write(w->fd, w->out + sent, len - sent);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return errorx_fail(error, errno == EPIPE ? ECONNRESET : errno,
                               "cannot speak to the PMI server: %s", strerror(errno));
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int receive_line(struct wire *w, uint64_t deadline, flux_error_t *error)
{
    char line[PMI_LINE_MAX];
    size_t len;
    int rc;

    while ((rc = pmi_reader_line(&w->in, line, &len)) == 0) {
        ssize_t n;

        if ((rc = wait_for(w->fd, POLLIN, deadline, error)) < 0)
            return rc;
        n = pmi_reader_fill(&w->in, w->fd);
        if (n == 0)
            return errorx_fail(error, ECONNRESET, "the PMI server has closed the connection");
        if (n < 0 && n != -EAGAIN && n != -EINTR)
            return errorx_fail(error, (int)-n, "PMI: %s", strerror((int)-n));
    }
    if (rc < 0 || (rc = pmi_msg_parse(line, len, &w->msg)) < 0)
        return errorx_fail(error, EPROTO, "the PMI server sends what is no PMI");
    return 0;
}

/* Sends what is in w->out and waits for the answer, which must be called expected. 0, or positive
 * with a sentence if the answer is that it failed. */
static int call_until(struct wire *w, int len, const char *expected, uint64_t deadline,
                      flux_error_t *error)
{
    const char *cmd, *why;
    int rc, status = 0;

    if (len < 0)
        return errorx_fail(error, EMSGSIZE, "too long for PMI");
    if ((rc = send_line(w, (size_t)len, deadline, error)) < 0 ||
        (rc = receive_line(w, deadline, error)) < 0)
        return rc;
    cmd = pmi_msg_get(&w->msg, "cmd");
    if (!cmd || strcmp(cmd, expected) != 0)
        return errorx_fail(error, EPROTO, "the PMI server answers %.40s, not %s",
                           cmd ? cmd : "nothing", expected);
    if (pmi_msg_get_int(&w->msg, "rc", &status) == -EPROTO)
        return errorx_fail(error, EPROTO, "the PMI server gives a result that is no number");
    why = pmi_msg_get(&w->msg, "msg");
    if (status != 0)
        errorx_set(error, "the PMI server refuses: %.80s", why ? why : "it does not say why");
    return status != 0;
}

static int call(struct wire *w, int len, const char *expected, flux_error_t *error)
{
    return call_until(w, len, expected, monotime_usec() + TIMEOUT_USEC, error);
}

static int call_strictly(struct wire *w, int len, const char *expected, flux_error_t *error)
{
    int rc = call(w, len, expected, error);

    return rc > 0 ? -EREMOTEIO : rc;
}

#define FORMAT(w, ...) pmi_format((w)->out, sizeof((w)->out), __VA_ARGS__)

/* --- operations --- */

static int wire_put(void *impl, const char *key, const char *value, flux_error_t *error)
{
    struct wire *w = impl;

    return call_strictly(w, FORMAT(w, "cmd=put kvsname=%s key=%s value=%s", w->kvsname, key, value),
                         "put_result", error);
}

static int wire_barrier(void *impl, flux_error_t *error)
{
    const uint64_t deadline = monotime_usec() + PMI_BARRIER_SECONDS * 1000000ull;
    struct wire *w = impl;
    const int rc = call_until(w, FORMAT(w, "cmd=barrier_in"), "barrier_out", deadline, error);

    if (rc == -ETIMEDOUT)
        return errorx_fail(error, ETIMEDOUT, "not all processes have come within %d s",
                           PMI_BARRIER_SECONDS);
    return rc > 0 ? -EREMOTEIO : rc;
}

static int wire_get(void *impl, const char *key, char *buf, size_t size, flux_error_t *error)
{
    struct wire *w = impl;
    int rc = call(w, FORMAT(w, "cmd=get kvsname=%s key=%s", w->kvsname, key), "get_result", error);
    const char *value = pmi_msg_get(&w->msg, "value");

    if (rc != 0)
        return rc > 0 ? -ENOENT : rc;
    if (!value)
        return errorx_fail(error, EPROTO, "the PMI server gives no value");
    if (strlen(value) >= size)
        return errorx_fail(error, EMSGSIZE, "the value of %s is too long", key);
    strcpy(buf, value);
    return 0;
}

static int wire_finalize(void *impl, flux_error_t *error)
{
    struct wire *w = impl;

    return call_strictly(w, FORMAT(w, "cmd=finalize"), "finalize_ack", error);
}

static void wire_free(void *impl)
{
    struct wire *w = impl;

    closep(&w->fd);
    free(w);
}

static const struct pmi_backend wire_backend = { wire_put, wire_barrier, wire_get, wire_finalize,
                                                 wire_free };

/* --- start --- */

static int get_number(const char *name, int *ret, flux_error_t *error)
{
    const char *value = getenv(name);

    if (!value || number_parse_int(value, 0, INT_MAX, ret) < 0)
        return errorx_fail(error, EPROTO, "PMI_FD is set, but %s is %s", name,
                           value ? "no number" : "not");
    return 0;
}

static int get_maxes(struct pmi_client *c, struct wire *w, flux_error_t *error)
{
    int rc = call_strictly(w, FORMAT(w, "cmd=get_maxes"), "maxes", error);
    int key_max, value_max;

    if (rc < 0)
        return rc;
    if (pmi_msg_get_int(&w->msg, "keylen_max", &key_max) < 0 || key_max < USEFUL_KEY_MAX ||
        pmi_msg_get_int(&w->msg, "vallen_max", &value_max) < 0 || value_max < USEFUL_KEY_MAX)
        return errorx_fail(error, EPROTO, "the PMI server's limits are of no use");
    c->key_max = key_max < PMI_KEY_MAX ? (size_t)key_max : PMI_KEY_MAX;
    c->value_max = value_max < PMI_VALUE_MAX ? (size_t)value_max : PMI_VALUE_MAX;
    return 0;
}

static int get_name(struct pmi_client *c, struct wire *w, flux_error_t *error)
{
    int rc = call_strictly(w, FORMAT(w, "cmd=get_my_kvsname"), "my_kvsname", error);
    const char *name = rc == 0 ? pmi_msg_get(&w->msg, "kvsname") : NULL;

    if (rc < 0)
        return rc;
    if (!name || !pmi_word_valid(name, sizeof(w->kvsname)))
        return errorx_fail(error, EPROTO, "the PMI server's kvsname is of no use");
    strcpy(w->kvsname, name);
    strcpy(c->name, name);
    return 0;
}

int pmi_client_wire_init(struct pmi_client *c, const char *fd, flux_error_t *error)
{
    struct wire *w = calloc(1, sizeof(*w));
    int rc;

    if (!w)
        return errorx_fail(error, ENOMEM, "out of memory");
    w->fd = -EBADF;
    c->backend = &wire_backend;
    c->impl = w;
    if (number_parse_int(fd, 0, INT_MAX, &w->fd) < 0 || fcntl(w->fd, F_SETFD, FD_CLOEXEC) < 0)
        return errorx_fail(error, EBADF, "PMI_FD=%.20s is no open descriptor", fd);
    if ((rc = get_number("PMI_RANK", &c->rank, error)) < 0 ||
        (rc = get_number("PMI_SIZE", &c->size, error)) < 0 ||
        (rc = call_strictly(w, FORMAT(w, "cmd=init pmi_version=1 pmi_subversion=1"),
                            "response_to_init", error)) < 0 ||
        (rc = get_maxes(c, w, error)) < 0)
        return rc;
    return get_name(c, w, error);
}
