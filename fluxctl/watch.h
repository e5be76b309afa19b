/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Following an eventlog of a job to its end, over restarts of the services in between: the watch is
 * repeated where it broke off, events seen already are not delivered again. */
#ifndef FLUXCTL_WATCH_H
#define FLUXCTL_WATCH_H

#include <jansson.h>
#include <flux/core.h>

struct watch;

struct watch_ops {
    void (*on_event)(const char *name, double timestamp, const json_t *context, void *arg);
    /* Once, at the end: errnum 0, or why the log cannot be followed, in words too. The watch may be
     * freed in here. */
    void (*on_end)(int errnum, const char *reason, void *arg);
};

struct watch *watch_new(flux_t *h, flux_jobid_t id, const char *path, const struct watch_ops *ops,
                        void *arg);
struct watch *watch_free(struct watch *w);

#endif
