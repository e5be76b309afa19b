/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shells as transient units of the system manager, which only root may ask for: flux-imp(8) does,
 * for one request per connection to RUNDIR/imp. Request and answer are one record each,
 * NUL-terminated KEY=VALUE strings; imp/request.h has the other side. The unit is PID 1's: neither
 * flux-exec nor flux-imp need to live for it to run. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/list.h"
#include "base/number.h"
#include "launch_impl.h"
#include "service/log.h"

#define ANSWER_TIMEOUT 30. /* seconds */
#define ANSWER_MAX     (64 * 1024)

enum imp_verb { IMP_START, IMP_KILL, IMP_LIST };

struct imp_call {
    TAILQ_ENTRY(imp_call) link;
    struct launcher *l;
    enum imp_verb verb;
    struct launch *p;   /* start; NULL: nobody wants to know any more */
    launcher_list_f cb; /* list */
    void *arg;
    int fd;
    flux_watcher_t *w, *timer;
};

struct imp_calls {
    TAILQ_HEAD(, imp_call) list;
};

static struct imp_call *imp_call_free(struct imp_call *c)
{
    struct imp_calls *calls;

    if (c) {
        calls = c->l->data;
        TAILQ_REMOVE(&calls->list, c, link);
        if (c->p && c->verb == IMP_START)
            c->p->data = NULL;
        flux_watcher_destroy(c->timer);
        flux_watcher_destroy(c->w);
        closep(&c->fd);
        free(c);
    }
    return NULL;
}

/* The value of a key in an answer, NULL if it has none. Answers end with a NUL (checked). */
static const char *answer_get(const char *answer, size_t len, const char *key)
{
    const size_t n = strlen(key);

    for (const char *p = answer; p < answer + len; p += strlen(p) + 1)
        if (strncmp(p, key, n) == 0 && p[n] == '=')
            return p + n + 1;
    return NULL;
}

static void finish_start(struct imp_call *c, const char *answer, size_t len, const char *error)
{
    struct launch *p = c->p;
    const char *pid_text = error ? NULL : answer_get(answer, len, "pid");
    uint64_t pid = 0;

    imp_call_free(c); /* answer and error are not its */
    if (!p)
        return;
    if (error)
        launch_failed(p, EPERM, "flux-imp: %s", error);
    else if (!pid_text || number_parse_u64(pid_text, INT32_MAX, &pid) < 0)
        launch_failed(p, EPROTO, "flux-imp did not say which process the shell is");
    else
        launch_got_pid(p, (pid_t)pid, false);
}

static void finish_list(struct imp_call *c, const char *answer, size_t len)
{
    for (const char *p = answer; p < answer + len; p += strlen(p) + 1) {
        uint64_t id;

        if (strncmp(p, "jobid=", 6) == 0 && number_parse_u64(p + 6, UINT64_MAX, &id) == 0 && id)
            c->cb(id, c->arg);
    }
    c->cb(0, c->arg);
    imp_call_free(c);
}

static void finish(struct imp_call *c, const char *answer, size_t len, const char *error)
{
    if (!error)
        error = answer_get(answer, len, "error");
    if (c->verb == IMP_START) {
        finish_start(c, answer, len, error);
        return;
    }
    if (error)
        log_err("flux-imp: %s", error);
    if (c->verb == IMP_LIST && !error)
        finish_list(c, answer, len);
    else
        imp_call_free(c);
}

static void on_answer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct imp_call *c = arg;
    static char buf[ANSWER_MAX];
    const ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        finish(c, "", 0, "it ended without an answer (journalctl -t flux-imp says why)");
    else if (buf[n - 1] != '\0')
        finish(c, "", 0, "its answer cannot be read");
    else
        finish(c, buf, (size_t)n, NULL);
}

static void on_answer_timeout(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    finish(arg, "", 0, "it did not answer");
}

static int imp_connect(const struct launcher *l)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    const int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/imp", l->rundir);

    if (fd < 0)
        return -errno;
    if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
        return -ENAMETOOLONG;
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int imp_send(struct imp_call *c, const char *request, size_t len)
{
    c->fd = imp_connect(c->l);
    if (c->fd < 0)
        return c->fd;
    if (send(c->fd, request, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return -errno;
    c->w = flux_fd_watcher_create(c->l->reactor, c->fd, FLUX_POLLIN, on_answer, c);
    c->timer = flux_timer_watcher_create(c->l->reactor, ANSWER_TIMEOUT, 0., on_answer_timeout, c);
    if (!c->w || !c->timer)
        return -ENOMEM;
    flux_watcher_start(c->w);
    flux_watcher_start(c->timer);
    return 0;
}

static struct imp_call *imp_call_new(struct launcher *l, enum imp_verb verb)
{
    struct imp_calls *calls = l->data;
    struct imp_call *c = calloc(1, sizeof(*c));

    if (c) {
        c->l = l;
        c->verb = verb;
        c->fd = -EBADF;
        TAILQ_INSERT_TAIL(&calls->list, c, link);
    }
    return c;
}

static void imp_start(struct launch *p, const struct launch_request *req)
{
    struct imp_call *c = imp_call_new(p->l, IMP_START);
    char request[512];
    int n, rc;

    if (!c) {
        launch_failed(p, ENOMEM, "out of memory");
        return;
    }
    c->p = p;
    p->data = c;
    n = snprintf(request, sizeof(request),
                 "verb=start%cjobid=%" PRIu64 "%cuserid=%" PRIu32 "%curi=%s", 0, req->id, 0,
                 req->userid, 0, p->l->uri);
    rc =
        n < 0 || (size_t)n >= sizeof(request) ? -ENAMETOOLONG : imp_send(c, request, (size_t)n + 1);
    if (rc < 0) {
        c->p = NULL;
        imp_call_free(c);
        launch_failed(p, -rc, "cannot ask flux-imp at %s/imp: %s", p->l->rundir, strerror(-rc));
    }
}

static void imp_forget(struct launch *p)
{
    struct imp_call *c = p->data;

    c->p = NULL;
}

static int imp_kill(struct launcher *l, flux_jobid_t id, int signum)
{
    struct imp_call *c = imp_call_new(l, IMP_KILL);
    char request[128];
    int n, rc;

    if (!c)
        return -ENOMEM;
    n = snprintf(request, sizeof(request), "verb=kill%cjobid=%" PRIu64 "%csignum=%d", 0, id, 0,
                 signum);
    rc = imp_send(c, request, (size_t)n + 1);
    if (rc < 0)
        imp_call_free(c);
    return rc;
}

static int imp_signal(struct launch *p, int signum)
{
    return imp_kill(p->l, p->id, signum);
}

static int imp_purge(struct launcher *l, flux_jobid_t id)
{
    return imp_kill(l, id, SIGKILL);
}

static int imp_list(struct launcher *l, launcher_list_f cb, void *arg)
{
    static const char request[] = "verb=list";
    struct imp_call *c = imp_call_new(l, IMP_LIST);
    int rc;

    if (!c)
        return -ENOMEM;
    c->cb = cb;
    c->arg = arg;
    rc = imp_send(c, request, sizeof(request));
    if (rc < 0)
        imp_call_free(c);
    return rc;
}

static int imp_init(struct launcher *l, flux_error_t *error)
{
    struct imp_calls *calls = calloc(1, sizeof(*calls));

    if (!calls)
        return -ENOMEM;
    TAILQ_INIT(&calls->list);
    l->data = calls;
    return 0;
}

static void imp_deinit(struct launcher *l)
{
    struct imp_calls *calls = l->data;

    while (!TAILQ_EMPTY(&calls->list))
        imp_call_free(TAILQ_FIRST(&calls->list));
    free(calls);
}

const struct launch_backend launch_imp = {
    .name = "imp",
    .init = imp_init,
    .deinit = imp_deinit,
    .start = imp_start,
    .signal = imp_signal,
    .list = imp_list,
    .purge = imp_purge,
    .forget = imp_forget,
};
