/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests that came before a daemon has what it needs to answer: they wait in order, and are
 * handled as if they came again once it has. A limited number, so that no guest keeps others out;
 * those whose client leaves meanwhile are dropped. */
#ifndef SERVICE_WAITING_H
#define SERVICE_WAITING_H

#include "base/list.h"
#include "service/service.h"

#define WAITING_MAX       1024
#define WAITING_GUESTS    (WAITING_MAX / 2) /* places that guests may have */
#define WAITING_PER_GUEST (WAITING_MAX / 8)

struct waiter;
TAILQ_HEAD(waiter_list, waiter);

struct waiting {
    struct waiter_list list;
    size_t count;
};

void waiting_init(struct waiting *w);
void waiting_deinit(struct waiting *w); /* answers ECANCELED */

/* May req wait too, where count do, nguests of them from guests, and nown from its own user? For
 * whoever keeps such a list of his own. */
bool waiting_has_place(const struct request *req, size_t count, size_t nguests, size_t nown);

/* Keep a request; fn: its handler. For "return waiting_add(...)" from a handler: 0, -ENOMEM, or
 * -EAGAIN with the sentence `full` when there is no place for it. */
int waiting_add(struct waiting *w, struct request *req, int (*fn)(struct request *req, void *arg),
                const char *full);

/* Answer all that wait: what they wait for does not come. */
void waiting_refuse(struct waiting *w, int errnum, const char *why);

/* Handle all that wait now; one that is added again by its handler waits for the next time. */
void waiting_serve(struct waiting *w, void *arg);

#endif
