/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* [bootstrap] of the configuration, see flux-config-bootstrap(5). No I/O. */
#ifndef BROKER_BOOTCONF_H
#define BROKER_BOOTCONF_H

#include <jansson.h>
#include <flux/types.h>
#include <flux/hostlist.h>
#include "base/cleanup.h"
#include "broker/endpoint.h"

#define BOOTCONF_SIZE_MAX 100000u
#define BOOTCONF_URI_SIZE ENDPOINT_SIZE

struct bootconf_entry;

struct bootconf {
    uint32_t rank, size;
    struct hostlist *hosts; /* in the order of ranks */
    const char *curve_cert; /* lent from the configuration; NULL: none */
    const char *keydir;     /* likewise: public certificates HOST.pub */
    bool enable_ipv6;
    const char *default_bind, *default_connect;
    int default_port;       /* 0: none */
    uint32_t *parents;      /* by parent= of the hosts; NULL: nobody has one */
    const json_t **entries; /* of each rank, lent */
};

/* -ENOENT: no bootstrap.hosts, the node is alone. 0 or another -errno with a sentence that names
 * the key. config must outlive the result. */
int bootconf_new(const json_t *config, const char *hostname, struct bootconf **ret,
                 flux_error_t *error);
struct bootconf *bootconf_free(struct bootconf *b);
DEFINE_CLEANUP(struct bootconf *, bootconf_free)

/* URIs of a rank, %h and %p replaced. 0 or -errno with a sentence. */
int bootconf_bind(const struct bootconf *b, uint32_t rank, char ret[BOOTCONF_URI_SIZE],
                  flux_error_t *error);
/* The file with the node's own certificate; there is one. */
int bootconf_cert(const struct bootconf *b, char ret[BOOTCONF_URI_SIZE], flux_error_t *error);
int bootconf_connect(const struct bootconf *b, uint32_t rank, char ret[BOOTCONF_URI_SIZE],
                     flux_error_t *error);

#endif
