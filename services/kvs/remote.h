/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The content store as the KVS sees it: RPCs. */
#ifndef KVS_REMOTE_H
#define KVS_REMOTE_H

#include "kvs/kvs.h"
#include "service/service.h"

#define REMOTE_START_TIMEOUT 60. /* seconds that the content store may take to answer at start */

struct remote;

struct remote_events {
    void (*on_stored)(void *arg); /* after each commit, once the store knows */
    void (*on_announce)(const char *update, void *arg); /* struct kvs_backend */
};

int remote_new(struct service *svc, const struct remote_events *events, void *arg,
               struct remote **ret);
struct remote *remote_free(struct remote *r);
DEFINE_CLEANUP(struct remote *, remote_free)

extern const struct kvs_backend remote_backend; /* arg: the remote */
void *remote_arg(const struct remote *r);
void remote_set_kvs(struct remote *r, struct kvs *k);

/* Before the loop runs: fetch the roots; wait for the commit begun last. -errno, logged. */
int remote_get_roots(struct remote *r, json_t **ret);
int remote_wait_commit(struct remote *r);

/* Before the loop runs: ends a collection that a former process has left. The sequence at which
 * the last one began that was completed, as noted; 0: none is known. */
int64_t remote_last_collection(struct remote *r);
/* Called back once, when all that is stored now is in the database: 0 or -errno, and why. */
int remote_flush(struct remote *r, void (*done)(int err, const char *why, void *arg), void *arg);
void remote_note_collection(struct remote *r, int64_t seq);

/* What the content store said the last time that it refused something at the start; never NULL. */
const char *remote_refusal(const struct remote *r);
/* Asks whether the content store takes something; on_writable: it did. One at a time. */
void remote_probe(struct remote *r, void (*on_writable)(void *arg));

#endif
