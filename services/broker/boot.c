/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Tries the ways in their order. What was found out by PMI is kept in RUNDIR, since PMI is for the
 * first process only: one that follows it after a crash reads that. */
#include <sodium.h>
#include <string.h>

#include "base/errorx.h"
#include "base/number.h"
#include "broker/boot.h"
#include "pmi/client.h"

#define FANOUT_DEFAULT "32"

static int find_host(struct boot *b, flux_error_t *error)
{
    const char *fake = getenv("FLUX_FAKE_HOSTNAME");
    char name[256] = "";

    if (gethostname(name, sizeof(name) - 1) < 0)
        return errorx_fail(error, errno, "this host has no name");
    (void)snprintf(b->host, sizeof(b->host), "%.*s", BOOT_HOST_SIZE - 1,
                   fake && *fake ? fake : name);
    return 0;
}

int boot_shape(struct boot *b, const char *topo, const char *fanout, flux_error_t *error)
{
    int n = 0;

    if (topo)
        b->topo_spec = strdup(topo);
    else if (number_parse_int(fanout ? fanout : FANOUT_DEFAULT, 0, 1 << 24, &n) < 0)
        return errorx_fail(error, EINVAL, "tbon.fanout: '%s' is not a number of children", fanout);
    else if (asprintf(&b->topo_spec, "kary:%d", n) < 0)
        b->topo_spec = NULL;
    if (!b->topo_spec)
        return errorx_fail(error, ENOMEM, "out of memory");
    return topology_new(b->topo_spec, b->size, b->parents, &b->topo, error);
}

static int boot_single(struct boot *b, flux_error_t *error)
{
    b->method = "single";
    b->rank = 0;
    b->size = 1;
    b->hostlist = strdup(b->host);
    return boot_shape(b, NULL, NULL, error);
}

int boot_begin(struct boot *b, const struct boot_options *opts, flux_error_t *error)
{
    int rc;

    *b = (struct boot){ .connect_timeout = 30., .tcp_user_timeout = 20., .torpid_max = 30. };
    rc = find_host(b, error);
    if (rc < 0)
        return rc;
    rc = boot_saved_load(b, opts->rundir, error);
    if (rc == -ENOENT)
        rc = boot_config(b, opts, error);
    if (rc == -ENOENT)
        rc = boot_pmi_begin(b, opts, error);
    if (rc == -ENOENT)
        rc = boot_single(b, error);
    return rc;
}

int boot_finish(struct boot *b, const char *uri, const char *rundir, flux_error_t *error)
{
    int rc = 0;

    if (!b->pmi)
        return 0;
    rc = boot_pmi_finish(b, uri, error);
    b->pmi = pmi_client_free(b->pmi);
    return rc < 0 || b->size == 1 ? rc : boot_saved_store(b, uri, rundir, error);
}

void boot_deinit(struct boot *b)
{
    b->topo = topology_free(b->topo);
    b->pmi = pmi_client_free(b->pmi);
    sodium_memzero(b->secret_key, sizeof(b->secret_key));
    free(b->children);
    free(b->hostlist);
    free(b->topo_spec);
}

/* --- keys */

const char *boot_key_owner(const char *public_key, void *arg)
{
    const struct boot *b = arg;

    if (strcmp(public_key, b->public_key) == 0)
        return ""; /* one certificate for all */
    for (size_t i = 0; i < b->nchildren; i++)
        if (strcmp(public_key, b->children[i].key) == 0)
            return b->children[i].host;
    return NULL;
}

bool boot_key_matches(const char *owner, uint32_t rank, void *arg)
{
    const struct boot *b = arg;

    if (b->nchildren == 0)
        return true;
    for (size_t i = 0; i < b->nchildren; i++)
        if (b->children[i].rank == rank)
            return !b->children[i].key[0] || strcmp(b->children[i].host, owner) == 0;
    return false;
}
