/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What flux-imp may be asked: one record of NUL-terminated KEY=VALUE strings.
 *
 *     verb=start jobid=N userid=UID uri=local:///PATH     answer: pid=N
 *     verb=kill  jobid=N signum=N                         answer: ok=1
 *     verb=list                                           answer: jobid=N ...
 *
 * Each answer may be error=SENTENCE instead, that of start also stopping=1: the node is being shut
 * down, ask again when it is up. What to run is not in the request: it is compiled in.
 */
#ifndef IMP_REQUEST_H
#define IMP_REQUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define IMP_REQUEST_MAX 1024 /* bytes */
#define IMP_URI_MAX     160

enum imp_verb { IMP_START = 1, IMP_KILL, IMP_LIST };

struct imp_request {
    enum imp_verb verb;
    uint64_t jobid;
    uint32_t userid;
    int signum;
    char uri[IMP_URI_MAX];
};

/* 0, or -EINVAL and *ret_why, a constant. Exactly the fields of the verb, each once. */
int imp_request_parse(const char *data, size_t size, struct imp_request *ret, const char **ret_why);
/* May a peer ask this? NULL: yes; else why not. owner: uid of the instance owner. */
const char *imp_request_refuse(const struct imp_request *req, uid_t peer, uid_t owner);

#endif
