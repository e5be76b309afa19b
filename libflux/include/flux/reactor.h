/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Event loop. See flux_reactor_create(3) and the pages of each watcher. Times are seconds (double)
 * on the monotonic clock except for periodic watchers, which follow the wall clock. */
#ifndef FLUX_REACTOR_H
#define FLUX_REACTOR_H

#include <sys/stat.h>
#include <flux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FLUX_REACTOR_NOWAIT  1 /* flux_reactor_run: one pass, do not block */
#define FLUX_REACTOR_ONCE    2 /* flux_reactor_run: one pass, block until something happened */
#define FLUX_REACTOR_SIGCHLD 1 /* flux_reactor_create: reap children for child watchers */

#define FLUX_POLLIN          1
#define FLUX_POLLOUT         2
#define FLUX_POLLERR         4

typedef void (*flux_watcher_f)(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg);
typedef double (*flux_reschedule_f)(flux_watcher_t *w, double now, void *arg);

flux_reactor_t *flux_reactor_create(int flags);
void flux_reactor_destroy(flux_reactor_t *r);
void flux_reactor_incref(flux_reactor_t *r);
void flux_reactor_decref(flux_reactor_t *r);
int flux_reactor_run(flux_reactor_t *r, int flags);
void flux_reactor_stop(flux_reactor_t *r);
void flux_reactor_stop_error(flux_reactor_t *r);
void flux_reactor_active_incref(flux_reactor_t *r);
void flux_reactor_active_decref(flux_reactor_t *r);
double flux_reactor_now(flux_reactor_t *r);
void flux_reactor_now_update(flux_reactor_t *r);
double flux_reactor_time(void);

void flux_watcher_start(flux_watcher_t *w);
void flux_watcher_stop(flux_watcher_t *w);
void flux_watcher_destroy(flux_watcher_t *w);
bool flux_watcher_is_active(flux_watcher_t *w);
void flux_watcher_ref(flux_watcher_t *w); /* count towards keeping the reactor running (default) */
void flux_watcher_unref(flux_watcher_t *w);
double flux_watcher_next_wakeup(flux_watcher_t *w); /* timer and periodic only, -1 EINVAL else */

flux_watcher_t *flux_handle_watcher_create(flux_reactor_t *r, flux_t *h, int events,
                                           flux_watcher_f cb, void *arg);
flux_t *flux_handle_watcher_get_flux(flux_watcher_t *w);

flux_watcher_t *flux_fd_watcher_create(flux_reactor_t *r, int fd, int events, flux_watcher_f cb,
                                       void *arg);
int flux_fd_watcher_get_fd(flux_watcher_t *w);
void flux_fd_watcher_set_events(flux_watcher_t *w, int events);

flux_watcher_t *flux_timer_watcher_create(flux_reactor_t *r, double after, double repeat,
                                          flux_watcher_f cb, void *arg);
void flux_timer_watcher_reset(flux_watcher_t *w, double after, double repeat);
void flux_timer_watcher_again(flux_watcher_t *w);

flux_watcher_t *flux_periodic_watcher_create(flux_reactor_t *r, double offset, double interval,
                                             flux_reschedule_f reschedule_cb, flux_watcher_f cb,
                                             void *arg);
void flux_periodic_watcher_reset(flux_watcher_t *w, double offset, double interval,
                                 flux_reschedule_f reschedule_cb);
/* As reset, but keeps the reschedule callback. */
void flux_periodic_watcher_set(flux_watcher_t *w, double offset, double interval);
/* Both are in use: with the callback, and without it as a fourth argument. */
#define FLUX_PERIODIC_PICK_(w, offset, interval, cb, fn, ...) fn
#define flux_periodic_watcher_reset(...)                                                        \
    FLUX_PERIODIC_PICK_(__VA_ARGS__, flux_periodic_watcher_reset, flux_periodic_watcher_set, 0) \
    (__VA_ARGS__)

flux_watcher_t *flux_prepare_watcher_create(flux_reactor_t *r, flux_watcher_f cb, void *arg);
flux_watcher_t *flux_check_watcher_create(flux_reactor_t *r, flux_watcher_f cb, void *arg);
flux_watcher_t *flux_idle_watcher_create(flux_reactor_t *r, flux_watcher_f cb, void *arg);

flux_watcher_t *flux_child_watcher_create(flux_reactor_t *r, int pid, bool trace, flux_watcher_f cb,
                                          void *arg);
int flux_child_watcher_get_rpid(flux_watcher_t *w);
int flux_child_watcher_get_rstatus(flux_watcher_t *w);

flux_watcher_t *flux_signal_watcher_create(flux_reactor_t *r, int signum, flux_watcher_f cb,
                                           void *arg);
int flux_signal_watcher_get_signum(flux_watcher_t *w);

flux_watcher_t *flux_stat_watcher_create(flux_reactor_t *r, const char *path, double interval,
                                         flux_watcher_f cb, void *arg);
int flux_stat_watcher_get_rstat(flux_watcher_t *w, struct stat *stat, struct stat *prev);

#ifdef __cplusplus
}
#endif

#endif
