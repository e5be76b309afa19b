/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What belongs to the thread that reads the store and moves the journal into it, and what it does
 * there for one work. */
#ifndef CONTENT_KEEPER_H
#define CONTENT_KEEPER_H

#include "content/worker.h"

struct keeper {
    struct store *store;
    struct journal *journal;
    struct sweep *sweep;
    struct backup backup;
};

/* Sets w->err, and its results. */
void keeper_read(struct keeper *k, struct work *w);
/* A piece of a chore; a small one of those that can be cut takes some 50 microseconds. 0: done; 1:
 * there is more of it; else negative errno. */
int keeper_chore(struct keeper *k, struct work *w, bool small);

#endif
