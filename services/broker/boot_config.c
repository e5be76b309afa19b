/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* By [bootstrap] of the configuration: all nodes have the same files, and one certificate. */
#include <string.h>

#include "base/cert.h"
#include "base/errorx.h"
#include "broker/boot.h"
#include "broker/bootconf.h"

static int load_keys(struct boot *b, const struct bootconf *c, flux_error_t *error)
{
    struct cert cert;
    int rc;

    if (!c->curve_cert)
        return 0;
    rc = cert_load(c->curve_cert, true, &cert, error);
    if (rc < 0)
        return rc;
    memcpy(b->public_key, cert.public_key, sizeof(b->public_key));
    memcpy(b->secret_key, cert.secret_key, sizeof(b->secret_key));
    cert_deinit(&cert);
    return 0;
}

static int shape(struct boot *b, const struct boot_options *opts, const struct bootconf *c,
                 flux_error_t *error)
{
    char fanout[16];

    (void)snprintf(fanout, sizeof(fanout), "%d", c->fanout);
    b->parents = c->parents;
    return boot_shape(b,
                      opts->topo   ? opts->topo
                      : c->topo    ? c->topo
                      : c->parents ? "custom"
                                   : NULL,
                      opts->fanout     ? opts->fanout
                      : c->fanout >= 0 ? fanout
                                       : NULL,
                      error);
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
    return rc < 0 ? rc : find_uris(b, c, error);
}
