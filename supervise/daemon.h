/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The life of one daemon: its sockets, its process, when it is started, watched and stopped. */
#ifndef SUPERVISE_DAEMON_H
#define SUPERVISE_DAEMON_H

#include <flux/reactor.h>
#include "base/list.h"
#include "supervise/notify.h"
#include "supervise/spawn.h"
#include "supervise/unit.h"

enum daemon_state {
    DAEMON_IDLE,     /* not running; a connection to one of its sockets starts it */
    DAEMON_STARTING, /* running, not ready yet */
    DAEMON_RUNNING,
    DAEMON_STOPPING, /* told to stop, or being killed */
    DAEMON_WAITING,  /* dead; will be started again in a moment */
};

enum daemon_event {
    DAEMON_EVENT_READY,  /* for the first time since it was started */
    DAEMON_EVENT_FAILED, /* died, or could not be started, before it was ready */
    DAEMON_EVENT_GONE,   /* no process is left and none will be started */
};

struct daemon;
typedef void (*daemon_f)(struct daemon *d, enum daemon_event event, void *arg);

struct daemon_common {
    flux_reactor_t *r;
    struct spawn_common spawn;
    void (*drain)(void *arg); /* handle notifications that wait */
    daemon_f cb;
    void *arg;
};

/* Borrows unit and common. */
int daemon_new(const struct daemon_common *common, const struct service_unit *unit,
               struct daemon **ret);
struct daemon *daemon_free(struct daemon *d); /* kills what runs */
DEFINE_CLEANUP(struct daemon *, daemon_free)

const struct service_unit *daemon_unit(const struct daemon *d);
enum daemon_state daemon_state(const struct daemon *d);
const char *daemon_status(const struct daemon *d); /* STATUS=, "" if none */
bool daemon_is_final(const struct daemon *d);      /* it is not to be started again */
pid_t daemon_pid(const struct daemon *d);          /* 0: none */

int daemon_add_socket(struct daemon *d, const struct socket_unit *u, flux_error_t *error);
int daemon_listen(struct daemon *d); /* start on the first connection */
void daemon_start(struct daemon *d);
/* SIGTERM, then SIGKILL after TimeoutStopSec= but at most limit_usec. It is not started again. */
void daemon_stop(struct daemon *d, uint64_t limit_usec);

void daemon_on_notify(struct daemon *d, const struct notification *n);
void daemon_on_exit(struct daemon *d, int wait_status);

#endif
