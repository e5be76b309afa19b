/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests of groups.* and barrier.*: decoded, and told apart by whom they come from. */
#ifndef BROKER_COLLECTIVE_H
#define BROKER_COLLECTIVE_H

struct client;
struct manager;
struct request;

int rpc_barrier_enter(struct request *req, void *arg);
int rpc_barrier_exit(struct request *req, void *arg);
int rpc_barrier_update(struct request *req, void *arg);
int rpc_groups_get(struct request *req, void *arg);
int rpc_groups_join(struct request *req, void *arg);
int rpc_groups_leave(struct request *req, void *arg);
int rpc_groups_update(struct request *req, void *arg);

/* The session with that child is one of the process before, whose groups and barriers were taken
 * up: as if it had said that nothing has changed. */
void collective_adopt(struct manager *m, struct client *node);

#endif
