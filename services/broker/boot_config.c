/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* By [bootstrap] of the configuration: all nodes have the same files, and one certificate, or one
 * each and the public parts of all. */
#include <string.h>

#include "base/cert.h"
#include "base/errorx.h"
#include "broker/boot.h"
#include "broker/bootconf.h"
#include "service/log.h"

static int load_keys(struct boot *b, const struct bootconf *c, flux_error_t *error)
{
    char path[BOOTCONF_URI_SIZE];
    struct cert cert;
    int rc;

    if (!c->curve_cert)
        return 0;
    rc = bootconf_cert(c, path, error);
    if (rc == 0)
        rc = cert_load(path, true, &cert, error);
    if (rc < 0)
        return rc;
    memcpy(b->public_key, cert.public_key, sizeof(b->public_key));
    memcpy(b->secret_key, cert.secret_key, sizeof(b->secret_key));
    cert_deinit(&cert);
    return 0;
}

/* A node whose file is not there has no key that is good. */
static int load_public(const struct bootconf *c, uint32_t rank, struct boot_neighbour *ret,
                       flux_error_t *error)
{
    const char *host = hostlist_nth(c->hosts, (int)rank);
    CLEANUP(freep) char *path = NULL;
    struct cert cert;
    int rc;

    ret->rank = rank;
    (void)snprintf(ret->host, sizeof(ret->host), "%s", host);
    if (asprintf(&path, "%s/%s.pub", c->keydir, host) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    rc = cert_load(path, false, &cert, error);
    if (rc == 0)
        memcpy(ret->key, cert.public_key, sizeof(ret->key));
    return rc;
}

/* Each host has a key of its own: those of the children are good, for their ranks. */
static int load_neighbours(struct boot *b, const struct bootconf *c, flux_error_t *error)
{
    const uint32_t *ranks;
    const size_t n = topology_children(b->topo, b->rank, &ranks);
    flux_error_t why = { .text = "" };

    if (!c->keydir)
        return 0;
    b->children = calloc(n + 1, sizeof(*b->children));
    if (!b->children)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct boot_neighbour *child = &b->children[b->nchildren++];

        if (load_public(c, ranks[i], child, &why) < 0) {
            (void)snprintf(child->key, sizeof(child->key), "none");
            log_warning("%s (rank %u) cannot join: %s", child->host, child->rank, why.text);
        }
    }
    return b->rank > 0 ? load_public(c, topology_parent(b->topo, b->rank), &b->parent, error) : 0;
}

static int shape(struct boot *b, const struct boot_options *opts, const struct bootconf *c,
                 flux_error_t *error)
{
    const char *topo = opts->topo ? opts->topo : c->topo;
    char fanout[16];

    if (c->parents && topo && strcmp(topo, "custom") != 0)
        return errorx_fail(error, EINVAL,
                           "bootstrap.hosts: parent= has no effect with the tree shape '%s': leave "
                           "one of them out",
                           topo);

    (void)snprintf(fanout, sizeof(fanout), "%d", c->fanout);
    b->parents = c->parents;
    if (!topo && c->parents)
        topo = "custom";
    return boot_shape(b, topo, opts->fanout ? opts->fanout : c->fanout >= 0 ? fanout : NULL, error);
}

static int need_key(const struct boot *b, const char *uri, flux_error_t *error)
{
    if (strncmp(uri, "tcp://", 6) != 0 || b->public_key[0])
        return 0;
    return errorx_fail(error, EINVAL,
                       "bootstrap.curve_cert: needed to connect hosts; make one with flux keygen "
                       "and copy it to each");
}

static int find_uris(struct boot *b, const struct bootconf *c, flux_error_t *error)
{
    const uint32_t *children;
    int rc = 0;

    if (topology_children(b->topo, b->rank, &children) > 0 &&
        ((rc = bootconf_bind(c, b->rank, b->bind, error)) < 0 ||
         (rc = need_key(b, b->bind, error)) < 0))
        return rc;
    if (b->rank == 0)
        return 0;
    b->parent.rank = topology_parent(b->topo, b->rank);
    (void)snprintf(b->parent.host, sizeof(b->parent.host), "%s",
                   hostlist_nth(c->hosts, (int)b->parent.rank));
    memcpy(b->parent.key, b->public_key, sizeof(b->parent.key));
    rc = bootconf_connect(c, b->parent.rank, b->parent.uri, error);
    return rc < 0 ? rc : need_key(b, b->parent.uri, error);
}

static void take_timeouts(struct boot *b, const struct bootconf *c)
{
    if (c->connect_timeout > 0)
        b->connect_timeout = c->connect_timeout;
    if (c->tcp_user_timeout > 0)
        b->tcp_user_timeout = c->tcp_user_timeout;
    if (c->torpid_max > 0)
        b->torpid_max = c->torpid_max;
}

int boot_config(struct boot *b, const struct boot_options *opts, flux_error_t *error)
{
    CLEANUP(bootconf_freep) struct bootconf *c = NULL;
    int rc = bootconf_new(opts->config, b->host, &c, error);

    if (rc < 0)
        return rc;
    b->method = "config";
    b->rank = c->rank;
    b->size = c->size;
    b->ipv6 = c->enable_ipv6;
    b->hostlist = hostlist_encode(c->hosts);
    take_timeouts(b, c);
    rc = shape(b, opts, c, error);
    b->parents = NULL;
    if (rc == 0)
        rc = load_keys(b, c, error);
    if (rc == 0)
        rc = find_uris(b, c, error);
    return rc < 0 ? rc : load_neighbours(b, c, error);
}
