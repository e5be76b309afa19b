/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-active, the directory of the KVS that names all jobs that have not ended, as daemons of the
 * leader read it when they start. Both calls wait for the KVS: they are for the time before READY.
 */
#ifndef SERVICE_JOBINDEX_H
#define SERVICE_JOBINDEX_H

#include <flux/core.h>

/* Commits the time to a key, so that what is read afterwards includes what the process before this
 * one had still under way. 0 or -errno. */
int jobindex_settle(flux_t *h, const char *key);

/* Names that are no ids are logged and passed over. 0, also when there is none yet; -errno; or what
 * fn returned that is not 0, which ends it. */
int jobindex_foreach(flux_t *h, int (*fn)(flux_jobid_t id, void *arg), void *arg);

#endif
