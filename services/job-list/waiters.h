/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests that cannot be answered yet: until the journal has told its history, or until a job of
 * which nobody has heard is heard of. They are answered anyway when they have waited long enough.
 */
#ifndef JOB_LIST_WAITERS_H
#define JOB_LIST_WAITERS_H

#include "service/service.h"

struct waiters;

/* Answers a request that waited: final if it may not wait again. */
typedef int (*waiters_answer_f)(struct request *req, bool final, void *arg);

int waiters_new(flux_reactor_t *r, double seconds, waiters_answer_f fn, void *arg,
                struct waiters **ret);
struct waiters *waiters_free(struct waiters *ws);
DEFINE_CLEANUP(struct waiters *, waiters_free)

/* key: what wakes it. Keeps a reference. 0, -EAGAIN (too many wait, see
 * waiting.h), -ENOMEM. */
int waiters_add(struct waiters *ws, struct request *req, uint64_t key);
void waiters_wake(struct waiters *ws, uint64_t key);
void waiters_wake_before(struct waiters *ws, uint64_t key); /* those with smaller keys */
void waiters_wake_all(struct waiters *ws);
size_t waiters_count(const struct waiters *ws);

#endif
