/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which services a client may call at their own sockets: the router's list in RUNDIR/direct, one
 * line each: "rank N", then "SERVICE SOCKET" with the socket's path below RUNDIR. Two services of
 * one daemon name the same socket. */
#ifndef RPC_DIRECT_H
#define RPC_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <flux/message.h>

#define DIRECT_FILE         "direct"
#define DIRECT_MAX          32 /* services; what is more is called through the router */
#define DIRECT_FAILURES_MAX 3

struct direct_service {
    const char *name;
    size_t name_size;
    const char *path;
    unsigned int failures; /* connections that closed before the first answer */
    bool routed;           /* through the router, for good: so that requests stay in order */
};

struct direct {
    bool looked; /* the list was read, or there is none for us */
    uint32_t rank;
    char *text;
    size_t count;
    struct direct_service services[DIRECT_MAX];
};

void direct_deinit(struct direct *d);
/* Read the list that lies beside the router's socket. There is none for who does not own the
 * instance, or has FLUX_HANDLE_ROUTED in the environment. */
void direct_look(struct direct *d, const char *router_path);
/* Take over a list, for tests. */
int direct_parse(struct direct *d, const char *text);
/* The service that a request may be sent to, or NULL: to the router. */
struct direct_service *direct_find(struct direct *d, const flux_msg_t *msg);
/* All services behind this socket are called through the router from now on. */
void direct_give_up(struct direct *d, const char *path);
/* A connection to this socket was closed before anything was answered: give up after some. */
void direct_failed(struct direct *d, const char *path);
/* The path of a file beside the router's socket; NULL: no memory. */
char *direct_path(const char *router_path, const char *name);

#endif
