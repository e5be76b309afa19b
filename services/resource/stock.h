/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the instance has and what of it may be used: the inventory, and which of its ranks are in
 * the tree, looked at, excluded, drained. Knows no sockets. */
#ifndef RESOURCE_STOCK_H
#define RESOURCE_STOCK_H

#include "resource/census.h"
#include "resource/drain.h"
#include "resource/inventory.h"

struct stock {
    struct rset *all;       /* the inventory; grows if nothing is configured */
    bool configured;        /* else it is what the nodes say they have */
    bool noverify;          /* what nodes say does not matter */
    bool forced_up;         /* every rank is online, whatever the tree says */
    char *exclude;          /* ranks or hosts, as configured; NULL: none */
    struct idset *excluded; /* those of them that all has */
    struct idset *online;
    struct idset *checked; /* online, and nothing prevents their use */
    struct drain *drain;
    struct rset *given;  /* R of the job in which this instance runs, ranks as here; NULL: none */
    struct rset *before; /* what ranks had that have not come yet; NULL: nothing, or all know it */
};

/* From [resource]. 0, or -errno with a sentence. */
int stock_init(struct stock *s, const json_t *config, flux_error_t *error);
void stock_deinit(struct stock *s);
/* resource.exclude of a configuration that was read again. With an error all stays as it was. */
int stock_set_exclude(struct stock *s, const json_t *config, flux_error_t *error);

/* This instance runs in a job that was given r: if it has a node for each of its ranks, they have
 * what r says, no more, and it ends when r does. Of no effect if resources are configured. */
int stock_set_given(struct stock *s, const struct rset *r, uint32_t size);

/* Nothing is configured, and a former process knew r: of that the ranks count that have still the
 * same hosts. Of no effect if resources are configured. */
int stock_remember(struct stock *s, const struct rset *r, const struct drain_hosts *hosts);
/* Is the inventory of size ranks known, and has each that is online said what it has now? */
bool stock_is_complete(const struct stock *s, uint32_t size);
/* From now on the inventory is told: what is remembered of ranks that did not come is part of it,
 * and holds for them when they come. 0, or -errno with a sentence. */
int stock_settle(struct stock *s, flux_error_t *error);

/* Online, checked, known, and neither drained nor excluded; NULL: no memory. */
struct idset *stock_up(const struct stock *s);
/* The inventory without what is excluded, as R; with it where it is one of known, which may be
 * NULL. NULL: no memory. */
json_t *stock_acquirable(const struct stock *s, const struct idset *known);
struct idset *stock_shown(const struct stock *s, const struct idset *known); /* its ranks */

/* The ranks that are in the tree now. *ret_came, *ret_gone: what is different from before; those
 * that came have to be asked. */
int stock_set_online(struct stock *s, const struct idset *online, struct idset **ret_came,
                     struct idset **ret_gone);

enum stock_outcome { STOCK_GOOD = 0, STOCK_GREW = 1, STOCK_LACKS = 2 };

/* What a rank has. STOCK_GREW: the rank is new in the inventory. STOCK_LACKS: less than it should
 * have, the sentence is in error, and it is not checked (see stock_check()). */
int stock_answer(struct stock *s, const struct census_answer *answer, flux_error_t *error);
/* It may be used from now on, if it is online. */
int stock_check(struct stock *s, uint32_t rank);

/* Hosts of ranks, in their order; malloc'd. */
char *stock_nodelist(const struct stock *s, const struct idset *ranks);

#endif
