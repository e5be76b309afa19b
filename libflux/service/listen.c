/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Accepting connections. At most ACCEPT_BUDGET a wake-up. When descriptors or memory run out the
 * listener refuses who comes, if it is told how, or else pauses for PAUSE seconds instead of
 * spinning on a socket that stays readable; what waits in the kernel's queue is not lost. Refuses:
 * descriptors that are not listening SEQPACKET sockets (closed when the loop starts, unless
 * somebody took them, and removed from the descriptor store).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "service/listen.h"
#include "service/log.h"

#define ACCEPT_BUDGET 16
#define PAUSE_SECONDS 0.25

struct listener {
    struct listeners *all;
    int fd;
    char *name;
    flux_watcher_t *watcher;
    flux_watcher_t *pause;
};

struct listeners {
    flux_reactor_t *r;
    void (*on_accept)(int fd, void *arg);
    void *arg;
    void (*refuse)(int fd, void *arg); /* NULL: nobody is refused */
    int reserve;                       /* given up for a moment, to refuse with */
    struct log_ratelimit exhausted;
    size_t count;
    struct listener items[];
};

static void listener_deinit(struct listener *l)
{
    flux_watcher_destroy(l->pause);
    flux_watcher_destroy(l->watcher);
    closep(&l->fd);
    free(l->name);
    *l = (struct listener){ .fd = -EBADF };
}

static void on_pause_over(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct listener *l = arg;

    flux_watcher_start(l->watcher);
}

static bool is_exhausted(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM || errnum == ENOBUFS;
}

static void open_reserve(struct listeners *l)
{
    if (l->refuse && l->reserve < 0)
        l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Whoever waits is told instead of waiting without an answer. False: there is no reserve, or
 * nobody. */
static bool refuse_one(struct listener *l)
{
    struct listeners *all = l->all;
    int fd;

    if (all->reserve < 0)
        return false;
    (void)close(TAKE_FD(all->reserve));
    fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        all->refuse(fd, all->arg);
        (void)close(fd);
    }
    open_reserve(all);
    return fd >= 0;
}

static void on_readable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct listener *l = arg;

    for (int i = 0; i < ACCEPT_BUDGET; i++) {
        const int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            l->all->on_accept(fd, l->all->arg);
        } else if (is_exhausted(errno)) {
            if (log_ratelimit(&l->all->exhausted, 10))
                log_err("cannot accept connections on socket %s: %s; %s", l->name, strerror(errno),
                        l->all->refuse ? "those who come are refused"
                                       : "those who wait are served when others leave");
            if (refuse_one(l))
                continue;
            flux_watcher_stop(l->watcher);
            flux_timer_watcher_reset(l->pause, PAUSE_SECONDS, 0.);
            flux_watcher_start(l->pause);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void free_names(char **names)
{
    for (char **p = names; p && *p; p++)
        free(*p);
    free(names);
}

int listeners_new(flux_reactor_t *r, void (*on_accept)(int fd, void *arg), void *arg,
                  struct listeners **ret)
{
    CLEANUP(listeners_freep) struct listeners *l = NULL;
    char **names = NULL;
    int n, rc = 0;

    if (getenv("FLUX_WRAPPED")) { /* a debugger may have started us as its child */
        char pid[16];

        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
        (void)setenv("LISTEN_PID", pid, 1);
    }
    n = sd_listen_fds_with_names(1, &names);
    if (n < 0)
        return n;
    l = calloc(1, sizeof(*l) + (size_t)n * sizeof(l->items[0]));
    if (!l) {
        free_names(names);
        return -ENOMEM;
    }
    l->r = r;
    l->reserve = -EBADF;
    l->on_accept = on_accept;
    l->arg = arg;
    l->count = (size_t)n;
    for (int i = 0; i < n; i++) {
        l->items[i] = (struct listener){ .all = l, .fd = SD_LISTEN_FDS_START + i };
        l->items[i].name = strdup(names && names[i] ? names[i] : "unknown");
        if (!l->items[i].name)
            rc = -ENOMEM;
    }
    free_names(names);
    if (rc < 0)
        return rc;
    *ret = TAKE(l);
    return 0;
}

struct listeners *listeners_free(struct listeners *l)
{
    if (l) {
        for (size_t i = 0; i < l->count; i++)
            listener_deinit(&l->items[i]);
        closep(&l->reserve);
        free(l);
    }
    return NULL;
}

size_t listeners_count(const struct listeners *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->count; i++)
        n += l->items[i].fd >= 0;
    return n;
}

int listeners_take(struct listeners *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++) {
        struct listener *item = &l->items[i];

        if (item->fd >= 0 && strcmp(item->name, name) == 0) {
            const int fd = TAKE_FD(item->fd);

            listener_deinit(item);
            return fd;
        }
    }
    return -ENOENT;
}

void listeners_refuse_with(struct listeners *l, void (*refuse)(int fd, void *arg))
{
    l->refuse = refuse;
    open_reserve(l);
}

static int listener_start(struct listener *l, flux_reactor_t *r)
{
    const int flags = fcntl(l->fd, F_GETFL);

    if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    l->watcher = flux_fd_watcher_create(r, l->fd, FLUX_POLLIN, on_readable, l);
    l->pause = flux_timer_watcher_create(r, PAUSE_SECONDS, 0., on_pause_over, l);
    if (!l->watcher || !l->pause)
        return -ENOMEM;
    flux_watcher_start(l->watcher);
    return 0;
}

int listeners_start(struct listeners *l)
{
    int rc;

    for (size_t i = 0; i < l->count; i++) {
        struct listener *item = &l->items[i];

        if (item->fd < 0)
            continue;
        if (sd_is_socket(item->fd, AF_UNIX, SOCK_SEQPACKET, 1) <= 0) {
            (void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", item->name);
            log_warning("closing inherited descriptor %d (%s): it is not a listening SEQPACKET "
                        "socket",
                        item->fd, item->name);
            listener_deinit(item);
            continue;
        }
        rc = listener_start(item, l->r);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void listeners_stop(struct listeners *l)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].watcher)
            flux_watcher_stop(l->items[i].watcher);
        if (l->items[i].pause)
            flux_watcher_stop(l->items[i].pause);
    }
}
