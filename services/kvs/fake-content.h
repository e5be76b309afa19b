/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For tests: a content store in memory that answers when it is told to, below a KVS of its own.
 * What clients ask of that KVS: fake-client.h. */
#ifndef KVS_FAKE_CONTENT_H
#define KVS_FAKE_CONTENT_H

#include "kvs/commit.h"
#include "kvs/gc.h"
#include "kvs/kvs.h"
#include "kvs/watch.h"

struct fake;

#define FAKE_OWNER 1000u

struct fake *fake_new(size_t cache_size); /* with a primary namespace */
struct fake *fake_free(struct fake *f);
/* One that knows no root of its own; loads what leader has stored. */
struct fake *fake_new_follower(struct fake *leader);
/* What the last commit announced, while kvs.announcing is set; NULL: nothing. */
const char *fake_announced(const struct fake *f);
struct kvs *fake_kvs(struct fake *f);
/* Forgets the KVS, as a crash does, and starts one from what is stored. */
void fake_restart(struct fake *f);

void fake_hold(struct fake *f, bool hold);       /* answer nothing until let go */
void fake_fail_next(struct fake *f, int err);    /* of the next commit */
void fake_lose(struct fake *f, const char *ref); /* a blob; NULL: all of them */
bool fake_is_fatal(const struct fake *f);
size_t fake_commits(const struct fake *f); /* content.commit requests so far */
size_t fake_loads(const struct fake *f);
/* Answers everything until nothing is under way. */
void fake_run(struct fake *f);
int fake_step(struct fake *f); /* one answer; 0: nothing was under way */

/* A collection to its end, without grace. 0 or -errno. fake_run() takes it along too, once it was
 * begun by gc_start(). */
int fake_collect(struct fake *f);
void fake_prefer_sweep(struct fake *f, bool prefer); /* its requests are answered before commits */
void fake_restart_store(struct fake *f);             /* which forgets its sweep */
void fake_checkpoint(struct fake *f, const char *ref); /* refers to it; NULL: all are gone */
size_t fake_nblobs(const struct fake *f);              /* ever stored */
size_t fake_largest_blob(const struct fake *f);

#endif
