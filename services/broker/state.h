/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* In which part of its life the instance is, as this node sees it; flux-uptime(1) explains them. */
#ifndef BROKER_STATE_H
#define BROKER_STATE_H

#include "base/list.h"
#include "service/service.h"

enum broker_state {
    STATE_JOIN,     /* not connected to the parent */
    STATE_INIT,     /* connected; the parent has not said yet how far the instance is */
    STATE_QUORUM,   /* rank 0 waits for nodes */
    STATE_RUN,      /* */
    STATE_CLEANUP,  /* rank 0 waits for jobs to end */
    STATE_SHUTDOWN, /* waiting for the nodes below to leave */
    STATE_FINALIZE, /* the last things are stored */
    STATE_GOODBYE,  /* this node leaves */
};
#define STATE_COUNT (STATE_GOODBYE + 1)

struct state_monitor;

struct state {
    enum broker_state now;
    double since; /* wall clock */
    TAILQ_HEAD(, state_monitor) monitors;
};

void state_init(struct state *s);
void state_deinit(struct state *s);
const char *state_name(enum broker_state state);
/* Tells who monitors, and the log: why, in a few words. false: it was that already. */
bool state_set(struct state *s, enum broker_state to, const char *why);
bool state_is_ending(const struct state *s); /* from CLEANUP on */

/* state-machine.get and .monitor <- {state, since}; a streaming request again at each change. */
int state_get(struct state *s, struct request *req);

#endif
