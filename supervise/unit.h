/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The keys of unit files that matter to us, and a directory of units: flux.target with the sockets
 * and services beside it. Everything else in the files (sandboxing above all) is ignored. */
#ifndef SUPERVISE_UNIT_H
#define SUPERVISE_UNIT_H

#include <sys/types.h>
#include "base/list.h"
#include "supervise/unitfile.h"

/* What specifiers stand for. */
struct unit_paths {
    const char *rundir;   /* %t/flux */
    const char *statedir; /* %S/flux */
    const char *logdir;   /* %L/flux */
    const char *confdir;  /* %E/flux; NULL: the compiled-in directory */
};

enum unit_restart { UNIT_RESTART_NO, UNIT_RESTART_ON_FAILURE, UNIT_RESTART_ALWAYS };

struct service_unit {
    TAILQ_ENTRY(service_unit) entry;
    char *name; /* without ".service" */
    char *description;
    char **argv;
    char **environment; /* NAME=value */
    enum unit_restart restart;
    uint64_t restart_usec;
    uint64_t watchdog_usec; /* 0: none */
    uint64_t start_usec;    /* UINT64_MAX: no limit */
    uint64_t stop_usec;
    uint64_t abort_usec; /* from SIGABRT to SIGKILL */
    unsigned int fdstore_max;
    uint64_t final_statuses[4]; /* a bit for each exit status after which it is not started again */
    int kill_signal, restart_signal; /* that ends it; so that the next process may begin */
    bool notify;                     /* Type=notify: ready when it says so */
    bool leave_children; /* KillMode=process; for the user's manager, we do not kill groups */
    bool wanted;         /* by flux.target: started without being asked */
};
TAILQ_HEAD(service_units, service_unit);

struct socket_unit {
    TAILQ_ENTRY(socket_unit) entry;
    char *name;    /* without ".socket" */
    char *service; /* without ".service" */
    char **listen; /* paths */
    char **symlinks;
    char *fdname;
    mode_t mode;
    int backlog;
};
TAILQ_HEAD(socket_units, socket_unit);

struct units {
    struct service_units services;
    struct service_units templates; /* named "flux-module@": %i stands for itself */
    struct socket_units sockets;
};

/* 0 or -errno with a sentence that names the file. */
int service_unit_parse(const char *name, const struct unitfile *uf, const struct unit_paths *paths,
                       struct service_unit **ret, flux_error_t *error);
int socket_unit_parse(const char *name, const struct unitfile *uf, const struct unit_paths *paths,
                      struct socket_unit **ret, flux_error_t *error);
struct service_unit *service_unit_free(struct service_unit *u);
struct socket_unit *socket_unit_free(struct socket_unit *u);
DEFINE_CLEANUP(struct service_unit *, service_unit_free)
DEFINE_CLEANUP(struct socket_unit *, socket_unit_free)

int units_load(const char *dir, const struct unit_paths *paths, struct units **ret,
               flux_error_t *error);
/* The instance "flux-module@NAME" of a template in dir. -ENOENT: there is no such template. */
int units_instantiate(const char *dir, const char *name, const struct unit_paths *paths,
                      struct service_unit **ret, flux_error_t *error);
struct units *units_free(struct units *u);
DEFINE_CLEANUP(struct units *, units_free)
struct service_unit *units_find_service(const struct units *u, const char *name);

/* Replace specifiers; malloc'd. -EINVAL for one that has no meaning here. */
int unit_expand(const char *s, const char *name, const struct unit_paths *paths, char **ret);

#endif
