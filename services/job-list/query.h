/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a job-list.list request asks for. */
#ifndef JOB_LIST_QUERY_H
#define JOB_LIST_QUERY_H

#include "job-list/attrs.h"

#define QUERY_ENTRIES_MAX 100000 /* also what max_entries 0 means */

struct query {
    size_t max_entries;
    uint64_t attrs;
    bool any_user;
    uint32_t userid;
    unsigned int states;  /* mask, never 0 */
    unsigned int results; /* mask, never 0 */
    double since;         /* inactive jobs: t_inactive > since */
    const char *name;     /* lent by the request, as the next; NULL: any */
    const char *queue;
};

/* {max_entries?, attrs?, userid?, states?, results?, since?, name?, queue?}. 0, -EINVAL with a
 * sentence. Asking for results and for no states means asking for inactive jobs only. */
int query_parse(const json_t *o, struct query *ret, flux_error_t *error);
bool query_matches(const struct query *q, const struct job *job);

#endif
