/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A shell's connection to the leader of its job: records to it, records from it, each taken once
 * and in order, whatever is restarted between them. PROTOCOLS.md describes the messages. */
#ifndef SHELL_FOLLOWER_H
#define SHELL_FOLLOWER_H

#include <flux/core.h>
#include <jansson.h>

#include "base/cleanup.h"

struct follower;

struct follower_events {
    /* A record of the leader, lent. false: taken, but it may send no more until follower_resume().
     */
    bool (*on_record)(void *arg, const json_t *record);
    void (*on_room)(void *arg);                  /* after follower_is_full() */
    void (*on_lost)(void *arg, const char *why); /* the leader is gone for good */
    void *arg;
};

struct follower_options {
    const char *service; /* of the leader shell */
    uint32_t nodeid;     /* its broker */
    int shell_rank;
    size_t credit; /* bytes that may be unacknowledged */
    struct follower_events events;
};

/* Copies what it needs; h is lent. 0 or -errno. Says hello. */
int follower_new(flux_t *h, const struct follower_options *o, struct follower **ret);
struct follower *follower_free(struct follower *f);
DEFINE_CLEANUP(struct follower *, follower_free)

/* size: of the record, about. 0 or -ENOMEM. */
int follower_send(struct follower *f, json_t *record, size_t size);
bool follower_is_full(const struct follower *f);
void follower_resume(struct follower *f);
/* The job is being ended: do not wait long for a leader that cannot be reached. */
void follower_hurry(struct follower *f);
/* Call when the leader has taken everything. */
void follower_finish(struct follower *f, void (*cb)(void *arg), void *arg);

#endif
