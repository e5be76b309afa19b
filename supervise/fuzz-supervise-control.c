/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The control socket from bytes: each line is something that happens, by its first byte: '+' a
 * client connects, '-' the oldest goes away, '<' and '>' a unit has started or stopped, anything
 * else is a record from the newest client. Whatever they say, a client gets at most one answer, and
 * one that waits gets the one for its unit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervise/control.h"

#define CLIENTS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    flux_reactor_t *r;
    struct control *c;
    int fds[CLIENTS_MAX], answers[CLIENTS_MAX];
    size_t n;
};

/* Names that begin with 'w' take their time, those with 'r' run already. */
static int begin(const char *unit, void *arg, flux_error_t *error)
{
    if (unit[0] == 'w')
        return 0;
    (void)snprintf(error->text, sizeof(error->text), "there is no unit %.100s", unit);
    return unit[0] == 'r' ? 1 : -ENOENT;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    abort();
}

static void turn(struct world *w)
{
    for (int i = 0; i < 3; i++)
        if (flux_reactor_run(w->r, FLUX_REACTOR_NOWAIT) < 0)
            fail("reactor");
    for (size_t i = 0; i < w->n; i++) {
        char buf[512];
        const ssize_t n = recv(w->fds[i], buf, sizeof(buf), MSG_DONTWAIT);

        if (n > 0 && ++w->answers[i] > 1)
            abort();
    }
}

static void client_connect(struct world *w, const struct sockaddr_un *sa)
{
    const int fd = w->n < CLIENTS_MAX ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) : -1;

    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
        fail("connect");
    w->answers[w->n] = 0;
    w->fds[w->n++] = fd;
}

static void client_leave(struct world *w)
{
    if (w->n == 0)
        return;
    (void)close(w->fds[0]);
    w->n--;
    memmove(w->fds, w->fds + 1, w->n * sizeof(w->fds[0]));
    memmove(w->answers, w->answers + 1, w->n * sizeof(w->answers[0]));
}

static void happen(struct world *w, const struct sockaddr_un *sa, const char *line, size_t len)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "%.*s", len > 1 ? (int)len - 1 : 0, line + (len > 0));
    if (len > 0 && line[0] == '+')
        client_connect(w, sa);
    else if (len > 0 && line[0] == '-')
        client_leave(w);
    else if (len > 0 && line[0] == '<')
        control_started(w->c, name, len % 2 ? "it failed" : NULL);
    else if (len > 0 && line[0] == '>')
        control_stopped(w->c, name);
    else if (w->n > 0)
        (void)send(w->fds[w->n - 1], line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    turn(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct control_ops ops = { .start = begin, .stop = begin, .status = begin };
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct world w = { .r = flux_reactor_create(0) };
    const char *p = (const char *)data;

    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/fuzz-control.%d", (int)getpid());
    if (!w.r || control_new(w.r, sa.sun_path, &ops, NULL, &w.c) < 0)
        fail(sa.sun_path);
    client_connect(&w, &sa);
    for (int i = 0; size > 0 && i < 100; i++) {
        const char *nl = memchr(p, '\n', size);
        const size_t len = nl ? (size_t)(nl - p) : size;

        happen(&w, &sa, p, len);
        p += len + (nl != NULL);
        size -= len + (nl != NULL);
    }
    (void)control_free(w.c);
    while (w.n > 0)
        client_leave(&w);
    flux_reactor_destroy(w.r);
    return 0;
}
