/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What one end of a connection between shells has to tell the other: numbered records, kept until
 * the other end has acknowledged them, so that nothing is lost or told twice when a router between
 * them is restarted. Credit: a sender pauses its sources while `limit` bytes are not acknowledged.
 */
#ifndef SHELL_OUTBOX_H
#define SHELL_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "base/list.h"

struct outrecord;

struct outbox {
    TAILQ_HEAD(, outrecord) list;
    uint64_t last; /* number of the last record; the first is 1 */
    size_t bytes, limit;
};

void outbox_init(struct outbox *box, size_t limit);
void outbox_deinit(struct outbox *box);
/* Keeps a reference to the record, which nobody changes any more. 0 or -ENOMEM. */
int outbox_push(struct outbox *box, json_t *record, size_t size);
/* Records behind number `after`, as many as make max_bytes but at least one, in a new array.
 * *ret_last: number of its last one. NULL: there are none (or ENOMEM). */
json_t *outbox_peek(const struct outbox *box, uint64_t after, size_t max_bytes, uint64_t *ret_last);
/* The other end has all records up to this number. */
void outbox_ack(struct outbox *box, uint64_t number);
bool outbox_is_empty(const struct outbox *box);
bool outbox_is_full(const struct outbox *box);

#endif
