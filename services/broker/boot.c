/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Tries the ways in their order. What was found out by PMI is kept in RUNDIR, since PMI is for the
 * first process only: one that follows it after a crash reads that. */
#include <sodium.h>
#include <string.h>

#include "base/errorx.h"
#include "broker/boot.h"
#include "pmi/client.h"

#define SHAPE_DEFAULT "kary:32"

static int find_host(struct boot *b, flux_error_t *error)
{
    const char *fake = getenv("FLUX_FAKE_HOSTNAME");
    char name[256] = "";

    if (gethostname(name, sizeof(name) - 1) < 0)
        return errorx_fail(error, errno, "this host has no name");
    if (!fake || !*fake)
        fake = name;
    if (!endpoint_host_valid(fake, strlen(fake)))
        return errorx_fail(error, EINVAL,
                           "this host is called '%.100s', which is no name of a host: letters, "
                           "digits, '-', '_' and '.', at most %d",
                           fake, BOOT_HOST_SIZE - 1);
    (void)snprintf(b->host, sizeof(b->host), "%s", fake);
    return 0;
}

int boot_set_shape(struct boot *b, const char *spec, flux_error_t *error)
{
    b->topo_spec = strdup(spec);
    if (!b->topo_spec)
        return errorx_fail(error, ENOMEM, "out of memory");
    return topology_new(b->topo_spec, b->size, b->parents, &b->topo, error);
}

int boot_shape(struct boot *b, const struct tbonconf *tbon, const char *fallback,
               flux_error_t *error)
{
    char kary[24];

    (void)snprintf(kary, sizeof(kary), "kary:%d", tbon->fanout);
    return boot_set_shape(b, tbon->topo ? tbon->topo : tbon->fanout >= 0 ? kary : fallback, error);
}

static int boot_single(struct boot *b, flux_error_t *error)
{
    b->method = "single";
    b->rank = 0;
    b->size = 1;
    b->hostlist = strdup(b->host);
    return boot_set_shape(b, SHAPE_DEFAULT, error);
}

int boot_begin(struct boot *b, const struct boot_options *opts, flux_error_t *error)
{
    int rc;

    *b = (struct boot){ .method = NULL };
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
    free(b->keydir);
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

/* A key that two hosts were given is that of the first. */
bool boot_key_matches(const char *public_key, uint32_t rank, void *arg)
{
    const struct boot *b = arg;

    if (b->nchildren == 0)
        return true;
    for (size_t i = 0; i < b->nchildren; i++)
        if (strcmp(b->children[i].key, public_key) == 0)
            return b->children[i].rank == rank;
    return !public_key[0]; /* no CURVE: unix sockets of our own */
}
