/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Modules of third parties: units of whatever service manager runs the instance on this node. */
#ifndef FLUXCTL_MODULE_UNIT_H
#define FLUXCTL_MODULE_UNIT_H

#include <jansson.h>
#include <stdbool.h>

enum manager_kind {
    MANAGER_EMBEDDED, /* flux-supervise, through RUNDIR/control */
    MANAGER_USER,     /* the user's systemd: flux-INSTANCE-module@NAME.service */
    MANAGER_SYSTEM,   /* systemd: flux-module@NAME.service */
};

struct manager {
    enum manager_kind kind;
    char *rundir;
};

/* Find out from FLUX_URI. -1 after complaining. */
int manager_find(struct manager *ret);
void manager_deinit(struct manager *m);

/* Is there a socket for a service of this name: is it a daemon of ours? */
bool manager_has_daemon(const struct manager *m, const char *name);

/* What flux-module-exec says of a name or path: {name, path, size}. NULL: has complained. */
json_t *module_describe(const struct manager *m, const char *what);

/* What was asked for when it was loaded: {path, args}; NULL: nothing is known of it. */
json_t *module_record(const struct manager *m, const char *name);

/* 1: it is loaded, 0: it is not, -1: complained. */
int module_is_loaded(const struct manager *m, const char *name);

/* Both return an exit status and complain. Start waits until the module is ready; a module that
 * does not get that far is stopped. */
int module_start(const struct manager *m, const char *name, const char *path, json_t *args);
/* MODULE_NOT_LOADED without complaint; MODULE_NOT_PERMITTED likewise: ask it yourself. */
int module_stop(const struct manager *m, const char *name);

#define MODULE_NOT_LOADED    100
#define MODULE_NOT_PERMITTED 101

#endif
