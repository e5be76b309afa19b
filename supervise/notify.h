/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The receiving end of sd_notify(3). */
#ifndef SUPERVISE_NOTIFY_H
#define SUPERVISE_NOTIFY_H

#include <sys/types.h>
#include <flux/reactor.h>

#define NOTIFY_MESSAGE_MAX 4096
#define NOTIFY_FDS_MAX     253

struct notification {
    bool ready;
    bool stopping;
    bool reloading;
    bool watchdog;         /* a sign of life */
    bool watchdog_trigger; /* the daemon itself asks for the watchdog's action */
    bool fdstore;
    bool fdstore_remove;
    bool fdpoll_off;
    uint64_t watchdog_usec; /* new period, 0: not given */
    uint64_t extend_usec;   /* it is to be waited for so long, 0: not given */
    const char *status;     /* lent from text; NULL: not given */
    const char *fdname;     /* likewise */
    int *fds;               /* the callback may take some by setting them to -EBADF */
    size_t nfds;
};

/* text: NUL-terminated, is cut into lines. Unknown and malformed assignments are ignored. */
void notification_parse(char *text, struct notification *ret);

typedef void (*notify_f)(pid_t pid, const struct notification *n, void *arg);

struct notify_socket;

int notify_socket_new(flux_reactor_t *r, const char *path, notify_f cb, void *arg,
                      struct notify_socket **ret);
struct notify_socket *notify_socket_free(struct notify_socket *s);
void notify_socket_drain(struct notify_socket *s); /* handle what waits */

#endif
