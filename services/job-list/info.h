/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-info: the data of one job, from the KVS, for those who may see it. */
#ifndef JOB_LIST_INFO_H
#define JOB_LIST_INFO_H

#include "service/service.h"

struct info;

int info_new(struct info **ret);
struct info *info_free(struct info *info);
DEFINE_CLEANUP(struct info *, info_free)

/* {id, keys:[...], flags?} <- {id, KEY:TEXT...}. Keys below the job's directory. */
int info_lookup(struct request *req);

/* {id, path, flags?} <- {event:TEXT}..., ENODATA. path: "eventlog", or "guest." and an eventlog of
 * the job's namespace, which is waited for while the job is active. */
int info_watch(struct info *info, struct request *req);
/* {matchtag}: that watch of the same client ends with ENODATA. */
void info_watch_cancel(struct info *info, struct request *req);
/* How far the watch of this request got, as request_resume() takes it; NULL: it is none. */
json_t *info_progress(const struct info *info, const struct request *req);
size_t info_nwatches(const struct info *info);

#endif
