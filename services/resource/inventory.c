/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reads the [resource] table. Later [[resource.config]] entries add to hosts named before. Refuses
 * hosts that [bootstrap] does not know, entries without hosts or cores, and an R that has no ranks.
 * Properties are accepted and not used yet. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <flux/hostlist.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/jsonx.h"
#include "resource/inventory.h"

DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)
DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct rset *, rset_free)

static int from_file(const char *path, struct rset **ret, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    json_error_t jerror;
    flux_error_t why = { .text = "" };

    o = json_load_file(path, JSON_REJECT_DUPLICATES, &jerror);
    if (!o)
        return errorx_fail(error, EINVAL, "resource.path %s: line %d: %s", path, jerror.line,
                           jerror.text);
    if (rset_decode(o, ret, &why) < 0)
        return errorx_fail(error, EINVAL, "resource.path %s: %s", path, why.text);
    return 0;
}

/* Hosts in rank order, from [bootstrap] hosts = [{host = "a[0-3]"}, ...]; empty if there is none.
 */
static int bootstrap_hosts(const json_t *config, struct hostlist **ret, flux_error_t *error)
{
    json_t *hosts = json_object_get(json_object_get(config, "bootstrap"), "hosts");
    CLEANUP(hostlist_destroyp) struct hostlist *hl = hostlist_create();
    json_t *entry;
    size_t i;

    if (!hl)
        return -ENOMEM;
    json_array_foreach (hosts, i, entry) {
        const char *host = json_string_value(json_object_get(entry, "host"));

        if (!host || hostlist_append(hl, host) < 0)
            return errorx_fail(error, EINVAL, "bootstrap.hosts[%zu].host: not a list of hosts", i);
    }
    hostlist_uniq(hl);
    *ret = TAKE(hl);
    return 0;
}

struct config_reader {
    struct hostlist *ranks; /* host of each rank */
    bool fixed;             /* ranks come from [bootstrap] */
    struct rset *all;
    flux_error_t *error;
};

static int add_host(struct config_reader *rd, const char *host, const struct idset *cores,
                    const struct idset *gpus)
{
    int rank = hostlist_find(rd->ranks, host);

    if (rank < 0 && rd->fixed)
        return errorx_fail(rd->error, EINVAL, "resource.config: host %s is not in bootstrap.hosts",
                           host);
    if (rank < 0) {
        if (hostlist_append(rd->ranks, host) < 0)
            return -ENOMEM;
        rank = hostlist_count(rd->ranks) - 1;
    }
    return rset_add(rd->all, (uint32_t)rank, host, cores, gpus);
}

static int read_ids(struct config_reader *rd, const json_t *entry, size_t i, const char *key,
                    struct idset **ret)
{
    const json_t *o = json_object_get(entry, key);
    const char *s = o ? json_string_value(o) : "";

    *ret = s ? idset_decode(s) : NULL;
    if (!*ret)
        return errorx_fail(rd->error, EINVAL,
                           "resource.config[%zu].%s: not a set of ids, as in \"0-7\"", i, key);
    return 0;
}

static int add_entry(struct config_reader *rd, const json_t *entry, size_t i)
{
    const char *hosts = json_string_value(json_object_get(entry, "hosts"));
    CLEANUP(hostlist_destroyp) struct hostlist *hl = hosts ? hostlist_decode(hosts) : NULL;
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    int rc;

    if (!hl || hostlist_count(hl) == 0)
        return errorx_fail(rd->error, EINVAL,
                           "resource.config[%zu].hosts: not a list of hosts, as in \"node[1-9]\"",
                           i);
    if ((rc = read_ids(rd, entry, i, "cores", &cores)) < 0 ||
        (rc = read_ids(rd, entry, i, "gpus", &gpus)) < 0)
        return rc;
    for (int n = 0; n < hostlist_count(hl); n++)
        if ((rc = add_host(rd, hostlist_nth(hl, n), cores, gpus)) < 0)
            return rc;
    return 0;
}

static int check_all_have_cores(const struct rset *all, flux_error_t *error)
{
    for (size_t i = 0; i < rset_nnodes(all); i++) {
        const struct rset_rank *rr = rset_nth(all, i);

        if (idset_count(rr->cores) == 0)
            return errorx_fail(error, EINVAL, "resource.config: host %s has no cores",
                               rr->hostname ? rr->hostname : "?");
    }
    return rset_nnodes(all) > 0 ? 0 : errorx_fail(error, EINVAL, "resource.config: no hosts");
}

static int from_entries(const json_t *config, const json_t *entries, struct rset **ret,
                        flux_error_t *error)
{
    CLEANUP(hostlist_destroyp) struct hostlist *ranks = NULL;
    CLEANUP(rset_freep) struct rset *all = NULL;
    struct config_reader rd = { .error = error };
    json_t *entry;
    size_t i;
    int rc;

    if (!json_is_array(entries))
        return errorx_fail(error, EINVAL, "resource.config: not an array of tables");
    if ((rc = bootstrap_hosts(config, &ranks, error)) < 0 || (rc = rset_new(&all)) < 0)
        return rc;
    rd.ranks = ranks;
    rd.fixed = hostlist_count(ranks) > 0;
    rd.all = all;
    json_array_foreach (entries, i, entry)
        if ((rc = add_entry(&rd, entry, i)) < 0)
            return rc;
    if ((rc = check_all_have_cores(all, error)) < 0)
        return rc;
    *ret = TAKE(all);
    return 0;
}

int inventory_from_config(const json_t *config, struct rset **ret, flux_error_t *error)
{
    const json_t *table = json_object_get(config, "resource");
    const json_t *path = json_object_get(table, "path");
    const json_t *entries = json_object_get(table, "config");

    if (path && !json_is_string(path))
        return errorx_fail(error, EINVAL, "resource.path: must be a string");
    if (path)
        return from_file(json_string_value(path), ret, error);
    if (entries)
        return from_entries(config, entries, ret, error);
    return INVENTORY_NONE;
}

/* --- naming some of it */

static int add_by_name(const struct rset *all, const char *host, struct idset *ids)
{
    int found = 0;

    for (size_t i = 0; i < rset_nnodes(all); i++) {
        const struct rset_rank *rr = rset_nth(all, i);

        if (!rr->hostname || strcmp(rr->hostname, host) != 0)
            continue;
        if (idset_set(ids, rr->rank) < 0)
            return -ENOMEM;
        found++;
    }
    return found;
}

static int targets_by_name(const struct rset *all, const char *targets, bool known_only,
                           struct idset *ids, flux_error_t *error)
{
    CLEANUP(hostlist_destroyp) struct hostlist *hl = hostlist_decode(targets);

    if (!hl || hostlist_count(hl) == 0)
        return errorx_fail(error, EINVAL, "%s: neither a set of ranks nor a list of hosts",
                           targets);
    for (int i = 0; i < hostlist_count(hl); i++) {
        int n = add_by_name(all, hostlist_nth(hl, i), ids);

        if (n < 0)
            return n;
        if (n == 0 && !known_only)
            return errorx_fail(error, EINVAL, "%s: there is no such host", hostlist_nth(hl, i));
    }
    return 0;
}

static int find_targets(const struct rset *all, const char *targets, bool known_only,
                        struct idset **ret, flux_error_t *error)
{
    CLEANUP(idset_destroyp) struct idset *ids = NULL;
    int rc = 0;

    if (isdigit((unsigned char)targets[0]) || targets[0] == '[')
        ids = idset_decode(targets);
    if (!ids) {
        ids = idset_create(0, IDSET_FLAG_AUTOGROW);
        rc = ids ? targets_by_name(all, targets, known_only, ids, error) : -ENOMEM;
    }
    if (rc < 0)
        return rc;
    for (unsigned int id = idset_first(ids); id != IDSET_INVALID_ID; id = idset_next(ids, id)) {
        if (rset_find(all, id))
            continue;
        if (!known_only)
            return errorx_fail(error, EINVAL, "rank %u: there is no such rank", id);
        (void)idset_clear(ids, id);
    }
    *ret = TAKE(ids);
    return 0;
}

int inventory_targets(const struct rset *all, const char *targets, struct idset **ret,
                      flux_error_t *error)
{
    return find_targets(all, targets, false, ret, error);
}

int inventory_known_targets(const struct rset *all, const char *targets, struct idset **ret,
                            flux_error_t *error)
{
    return find_targets(all, targets, true, ret, error);
}
