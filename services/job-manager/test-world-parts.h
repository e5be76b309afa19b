/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the files of the world (test-world*.c) share with one another: the manager's operations on
 * the KVS and on its peers, and what a crash does to them. Tests include test-world.h only. */
#ifndef JOB_MANAGER_TEST_WORLD_PARTS_H
#define JOB_MANAGER_TEST_WORLD_PARTS_H

#include "test-world.h"

/* manager_ops; arg: the world. */
int world_kvs_append(void *arg, const char *key, const char *data, size_t len);
int world_kvs_put(void *arg, const char *key, const char *value);
int world_kvs_unlink(void *arg, const char *key);
int world_kvs_prune(void *arg, const char *key);
int world_kvs_namespace(void *arg, const char *key, const char *ns, uint32_t owner);
int world_kvs_archive(void *arg, const char *key, const char *ns, const char *log);
int world_kvs_commit(void *arg);
int world_peers_take(void *arg, const char *topic, const char *json, bool noresponse);

void world_kvs_store(struct world *w, const char *key, const char *value); /* durable at once */
void world_kvs_arrive(struct world *w); /* the commit in flight */
void world_kvs_lose(struct world *w);   /* the commit in flight */
void world_kvs_forget(struct world *w); /* what waits for a commit */
void world_kvs_free(struct world *w);

#endif
