/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* By [bootstrap] of the configuration: all nodes have the same files, and one certificate, or one
 * each and the public parts of all. */
#include <string.h>

#include "base/cert.h"
#include "base/errorx.h"
#include "broker/boot.h"
#include "broker/bootconf.h"
#include "service/log.h"

#define SHAPE_DEFAULT "kary:0"

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
static int load_public(const struct boot *b, struct boot_neighbour *ret, flux_error_t *error)
{
    CLEANUP(freep) char *path = NULL;
    struct cert cert;
    int rc;

    if (asprintf(&path, "%s/%s.pub", b->keydir, ret->host) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    rc = cert_load(path, false, &cert, error);
    if (rc == 0)
        memcpy(ret->key, cert.public_key, sizeof(ret->key));
    return rc;
}

static void load_child(const struct boot *b, struct boot_neighbour *child)
{
    flux_error_t why = { .text = "out of memory" };

    if (load_public(b, child, &why) == 0)
        return;
    (void)snprintf(child->key, sizeof(child->key), "none");
    log_warning("%s (rank %u) cannot join: %s", child->host, child->rank, why.text);
}

/* Each host has a key of its own: those of the children are good, for their ranks. */
static int load_neighbours(struct boot *b, const struct bootconf *c, flux_error_t *error)
{
    const uint32_t *ranks;
    const size_t n = topology_children(b->topo, b->rank, &ranks);

    if (!c->keydir)
        return 0;
    b->keydir = strdup(c->keydir);
    b->children = calloc(n + 1, sizeof(*b->children));
    if (!b->keydir || !b->children)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct boot_neighbour *child = &b->children[b->nchildren++];

        child->rank = ranks[i];
        (void)snprintf(child->host, sizeof(child->host), "%s",
                       hostlist_nth(c->hosts, (int)ranks[i]));
        load_child(b, child);
    }
    return b->rank > 0 ? load_public(b, &b->parent, error) : 0;
}

void boot_reload_keys(struct boot *b)
{
    flux_error_t why = { .text = "out of memory" };

    if (!b->keydir)
        return;
    for (size_t i = 0; i < b->nchildren; i++)
        load_child(b, &b->children[i]);
    if (b->rank > 0 && load_public(b, &b->parent, &why) < 0) {
        b->parent.key[0] = '\0';
        log_warning("the parent %s (rank %u) is not trusted any more: %s", b->parent.host,
                    b->parent.rank, why.text);
    }
}

/* Without a word on it all are below rank 0, as the administrator's guide says. */
static int shape(struct boot *b, const struct tbonconf *tbon, const struct bootconf *c,
                 flux_error_t *error)
{
    if (c->parents && !tbon->shape_is_argument && (tbon->topo || tbon->fanout >= 0) &&
        !(tbon->topo && strcmp(tbon->topo, "custom") == 0))
        return errorx_fail(error, EINVAL,
                           "bootstrap.hosts: parent= has no effect with the tree shape of "
                           "tbon.%s%s%s%s: leave one of them out",
                           tbon->topo ? "topo" : "fanout", tbon->topo ? " ('" : "",
                           tbon->topo ? tbon->topo : "", tbon->topo ? "')" : "");
    b->parents = c->parents;
    return boot_shape(b, tbon, c->parents ? "custom" : SHAPE_DEFAULT, error);
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

static int configure(struct boot *b, const struct bootconf *c, const struct boot_options *opts,
                     flux_error_t *error)
{
    int rc;

    b->method = "config";
    b->rank = c->rank;
    b->size = c->size;
    b->ipv6 = c->enable_ipv6;
    b->hostlist = hostlist_encode(c->hosts);
    rc = shape(b, opts->tbon, c, error);
    b->parents = NULL;
    if (rc == 0)
        rc = load_keys(b, c, error);
    if (rc == 0)
        rc = find_uris(b, c, error);
    return rc < 0 ? rc : load_neighbours(b, c, error);
}

/* -ENOENT means that there is no configuration, so that a node is alone. A file that is missing
 * must not make it so. */
int boot_config(struct boot *b, const struct boot_options *opts, flux_error_t *error)
{
    CLEANUP(bootconf_freep) struct bootconf *c = NULL;
    int rc = bootconf_new(opts->config, b->host, &c, error);

    if (rc < 0)
        return rc;
    rc = configure(b, c, opts, error);
    return rc == -ENOENT ? -ENOKEY : rc;
}
