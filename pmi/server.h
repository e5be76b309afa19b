/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A PMI-1 server (RFC 13) in memory, without I/O: its user carries lines from and to clients, and
 * the keys of a barrier to other servers of the same program, if there are any. Keys that were put
 * can be read after the next barrier. */
#ifndef PMI_SERVER_H
#define PMI_SERVER_H

#include <stdint.h>
#include <jansson.h>
#include <flux/types.h>

#include "base/cleanup.h"
#include "pmi/wire.h"

struct pmi_server;

/* None may free the server. */
struct pmi_server_ops {
    /* A line with its LF for the client of a rank. 0 or -errno, which the request returns. */
    int (*send)(uint32_t rank, const char *line, void *arg);
    /* All clients of this server are in the barrier; keys (an object of strings, lent) were put
     * here since the last one. Whenever the rest of the program is there too, even from within this
     * call, pmi_server_barrier_done() is to follow. NULL: there is no other server. */
    void (*barrier)(struct pmi_server *s, json_t *keys, void *arg);
    /* The program asks to be ended. May be NULL. */
    void (*abort)(uint32_t rank, int exit_code, void *arg);
};

struct pmi_server_options {
    uint32_t size;         /* ranks of the program */
    const uint32_t *ranks; /* those served here, ascending; NULL: all */
    size_t nranks;
    const char *kvsname;
    const char *mapping; /* PMI_process_mapping; NULL: none */
    int appnum;
    struct pmi_server_ops ops;
    void *arg;
};

/* Copies what it needs. -EINVAL: no ranks, or some out of range or order, or a bad name or mapping.
 */
int pmi_server_new(const struct pmi_server_options *o, struct pmi_server **ret);
struct pmi_server *pmi_server_free(struct pmi_server *s);
DEFINE_CLEANUP(struct pmi_server *, pmi_server_free)

/* A line of a client, without its LF. 0: answered, or will be when the barrier is complete.
 * -EPROTO: it breaks the protocol, -EMSGSIZE: so does its length, with a sentence in error; RFC 13
 * wants the connection closed then, and the program aborted. -ENOENT: no such rank here. A client
 * may begin anew with "cmd=init" (it was started again), and then may put again what it has put. */
int pmi_server_request(struct pmi_server *s, uint32_t rank, const char *line, flux_error_t *error);
/* The barrier is complete: keys of all servers (those of this one may be missing; may be NULL).
 * rc other than 0: it has failed, and clients are told so. -EINVAL: nobody waits, or keys is not an
 * object of strings that fit. */
int pmi_server_barrier_done(struct pmi_server *s, int rc, json_t *keys);
/* How many are in the barrier. */
size_t pmi_server_waiting(const struct pmi_server *s);

#endif
