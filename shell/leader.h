/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The leader's end of its connections to the other shells of the job (follower.h). */
#ifndef SHELL_LEADER_H
#define SHELL_LEADER_H

#include <flux/core.h>
#include <flux/idset.h>
#include <jansson.h>

#include "base/cleanup.h"

struct leader;

struct leader_events {
    /* A record of a shell, lent. 0, or -EPROTO if it makes no sense, which ends that shell. */
    int (*on_record)(void *arg, int shell_rank, const json_t *record);
    bool (*has_room)(void *arg); /* false: acknowledge nothing until leader_resume() */
    void (*on_room)(void *arg);  /* after leader_is_full() */
    /* A shell has not come, or went away and did not come back. It counts as finished. */
    void (*on_lost)(void *arg, int shell_rank);
    uint32_t (*nodeid)(void *arg, int shell_rank); /* the broker of a shell */
    void (*on_settled)(void *arg);                 /* all others are finished: leader_settled() */
    void *arg;
};

struct leader_options {
    const char *service;
    int nshells;
    uint32_t userid; /* who may speak, besides the instance owner */
    size_t credit;   /* bytes for each shell that may be unacknowledged */
    struct leader_events events;
};

/* Copies what it needs; h is lent. Answers SERVICE.hello, .report and .disconnect. 0 or -errno. */
int leader_new(flux_t *h, const struct leader_options *o, struct leader **ret);
struct leader *leader_free(struct leader *l);
DEFINE_CLEANUP(struct leader *, leader_free)

/* To the shells of the set, NULL: to all. 0 or -ENOMEM. */
int leader_send(struct leader *l, const struct idset *shells, json_t *record, size_t size);
bool leader_is_full(const struct leader *l); /* of records for any shell */
void leader_resume(struct leader *l);
void leader_finished(struct leader *l, int shell_rank); /* this shell has said its last word */
bool leader_settled(const struct leader *l);
/* The job is being ended: do not wait long for shells that cannot be reached. */
void leader_hurry(struct leader *l);

#endif
