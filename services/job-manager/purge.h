/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which past jobs are purged, and when: what the configuration says, and what the owner asks for.
 */
#ifndef JOB_MANAGER_PURGE_H
#define JOB_MANAGER_PURGE_H

#include "daemon.h"

struct purge_limits {
    double age;   /* seconds since it ended; < 0: none */
    int64_t held; /* jobs to keep; < 0: none */
};

int purge_open(struct daemon *d, struct purger **ret);
struct purger *purge_close(struct purger *p);
/* [job-manager] of the configuration. 0, or -EINVAL with a sentence. */
int purge_config(struct purger *p, const json_t *config, flux_error_t *error);
/* Once a turn: is anything over the limits? */
void purge_check(struct purger *p);

/* job-manager.purge */
int rpc_purge(struct request *req, void *arg);

#endif
