/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The control socket. Refuses other users, more than CLIENTS_MAX at a time, and whatever is not one
 * of the three verbs and a word. A client that goes away takes nothing back. */
#include "supervise/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/list.h"
#include "service/log.h"

#define CLIENTS_MAX 64
#define REQUEST_MAX 256

struct client {
    TAILQ_ENTRY(client) entry;
    struct control *control;
    int fd;
    flux_watcher_t *watcher;
    bool stopping; /* waits for the end of unit, else for its start */
    char *unit;    /* NULL: has not asked yet */
};

struct control {
    flux_reactor_t *r;
    char *path;
    int fd;
    flux_watcher_t *watcher;
    struct control_ops ops;
    void *arg;
    size_t nclients;
    TAILQ_HEAD(, client) clients;
};

static void client_free(struct client *cl)
{
    TAILQ_REMOVE(&cl->control->clients, cl, entry);
    cl->control->nclients--;
    flux_watcher_destroy(cl->watcher);
    closep(&cl->fd);
    free(cl->unit);
    free(cl);
}

static void answer(struct client *cl, const char *text)
{
    (void)send(cl->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    client_free(cl);
}

static void handle(struct client *cl, char *request)
{
    struct control *c = cl->control;
    flux_error_t error = { "unknown request" };
    char *space = strchr(request, ' ');
    CLEANUP(freep) char *unit = space ? strdup(space + 1) : NULL;
    int rc = -EINVAL;

    if (!unit) {
        answer(cl, error.text);
        return;
    }
    *space = '\0';
    cl->stopping = strcmp(request, "stop") == 0;
    if (cl->stopping)
        rc = c->ops.stop(unit, c->arg, &error);
    else if (strcmp(request, "start") == 0)
        rc = c->ops.start(unit, c->arg, &error);
    else if (strcmp(request, "status") == 0)
        rc = c->ops.status(unit, c->arg, &error);
    if (rc != 0)
        answer(cl, rc > 0 ? "ok" : error.text);
    else
        cl->unit = TAKE(unit); /* not before: what happens meanwhile is not what it waits for */
}

static void on_request(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct client *cl = arg;
    char buf[REQUEST_MAX];
    const ssize_t n = recv(cl->fd, buf, sizeof(buf) - 1, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n >= sizeof(buf) || cl->unit) {
        client_free(cl); /* gone, or talks out of turn */
        return;
    }
    buf[n] = '\0';
    handle(cl, buf);
}

static bool is_ours(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.uid == geteuid();
}

static void on_connection(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct control *c = arg;
    CLEANUP(closep) int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *cl;

    if (fd < 0 || !is_ours(fd) || c->nclients >= CLIENTS_MAX || !(cl = calloc(1, sizeof(*cl))))
        return;
    cl->control = c;
    cl->fd = TAKE_FD(fd);
    TAILQ_INSERT_TAIL(&c->clients, cl, entry);
    c->nclients++;
    if (!(cl->watcher = flux_fd_watcher_create(r, cl->fd, FLUX_POLLIN, on_request, cl)))
        client_free(cl);
    else
        flux_watcher_start(cl->watcher);
}

static int open_socket(const char *path, int *ret)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (strlen(path) >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    strcpy(sa.sun_path, path);
    (void)unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, 0600) < 0 ||
        listen(fd, CLIENTS_MAX) < 0)
        return -errno;
    *ret = TAKE_FD(fd);
    return 0;
}

int control_new(flux_reactor_t *r, const char *path, const struct control_ops *ops, void *arg,
                struct control **ret)
{
    CLEANUP(control_freep) struct control *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return -ENOMEM;
    c->r = r;
    c->fd = -EBADF;
    c->ops = *ops;
    c->arg = arg;
    TAILQ_INIT(&c->clients);
    if (!(c->path = strdup(path)))
        return -ENOMEM;
    if ((rc = open_socket(path, &c->fd)) < 0)
        return rc;
    if (!(c->watcher = flux_fd_watcher_create(r, c->fd, FLUX_POLLIN, on_connection, c)))
        return -errno;
    flux_watcher_start(c->watcher);
    *ret = TAKE(c);
    return 0;
}

struct control *control_free(struct control *c)
{
    struct client *cl;

    if (!c)
        return NULL;
    while ((cl = TAILQ_FIRST(&c->clients)))
        client_free(cl);
    flux_watcher_destroy(c->watcher);
    if (c->fd >= 0)
        (void)unlink(c->path);
    closep(&c->fd);
    free(c->path);
    free(c);
    return NULL;
}

static void done(struct control *c, const char *unit, bool stopping, const char *why)
{
    struct client *cl, *next;

    for (cl = c ? TAILQ_FIRST(&c->clients) : NULL; cl; cl = next) {
        next = TAILQ_NEXT(cl, entry);
        if (cl->unit && cl->stopping == stopping && strcmp(cl->unit, unit) == 0)
            answer(cl, why ? why : "ok");
    }
}

void control_started(struct control *c, const char *unit, const char *why)
{
    done(c, unit, false, why);
}

void control_stopped(struct control *c, const char *unit)
{
    done(c, unit, true, NULL);
}
