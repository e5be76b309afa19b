/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Invariants: checked is a subset of online; excluded is one of the ranks of all. Ranks are never
 * taken out of the inventory: what is lost is down, since jobs may hold it. */
#include <errno.h>
#include <string.h>

#include <flux/hostlist.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "resource/enclosing.h"
#include "resource/stock.h"

DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)
DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct rset *, rset_free)

static int read_switch(const json_t *table, const char *key, bool *ret, flux_error_t *error)
{
    const json_t *o = json_object_get(table, key);

    if (o && !json_is_boolean(o))
        return errorx_fail(error, EINVAL, "resource.%s: must be true or false", key);
    *ret = json_is_true(o);
    return 0;
}

static int read_exclude(const json_t *config, char **ret, flux_error_t *error)
{
    const json_t *o = json_object_get(json_object_get(config, "resource"), "exclude");

    *ret = NULL;
    if (o && !json_is_string(o))
        return errorx_fail(error, EINVAL, "resource.exclude: must be a string");
    return o && !(*ret = strdup(json_string_value(o))) ? -ENOMEM : 0;
}

/* Without a configuration hosts are not known before they came: then unknown ones are no error. */
static int find_excluded(struct stock *s, flux_error_t *error)
{
    struct idset *found = NULL;
    int rc = 0;

    if (!s->exclude)
        rc = (found = idset_create(0, IDSET_FLAG_AUTOGROW)) ? 0 : -ENOMEM;
    else if (s->configured)
        rc = inventory_targets(s->all, s->exclude, &found, error);
    else
        rc = inventory_known_targets(s->all, s->exclude, &found, error);
    if (rc < 0)
        return rc;
    idset_destroy(s->excluded);
    s->excluded = found;
    return 0;
}

int stock_set_exclude(struct stock *s, const json_t *config, flux_error_t *error)
{
    CLEANUP(freep) char *before = s->exclude;
    char *now;
    int rc = read_exclude(config, &now, error);

    if (rc < 0) {
        (void)TAKE(before);
        return rc;
    }
    s->exclude = now;
    rc = find_excluded(s, error);
    if (rc < 0) {
        free(now);
        s->exclude = TAKE(before);
    }
    return rc;
}

static int read_inventory(struct stock *s, const json_t *config, flux_error_t *error)
{
    int rc = inventory_from_config(config, &s->all, error);

    s->configured = rc == INVENTORY_CONFIGURED;
    return rc == INVENTORY_NONE ? rset_new(&s->all) : rc;
}

int stock_init(struct stock *s, const json_t *config, flux_error_t *error)
{
    const json_t *table = json_object_get(config, "resource");
    int rc;

    if ((rc = read_switch(table, "noverify", &s->noverify, error)) < 0 ||
        (rc = read_switch(table, "monitor-force-up", &s->forced_up, error)) < 0)
        return rc;
    if ((rc = read_exclude(config, &s->exclude, error)) < 0)
        return rc;
    if ((rc = read_inventory(s, config, error)) < 0 || (rc = find_excluded(s, error)) < 0)
        return rc;
    s->online = s->forced_up ? rset_ranks(s->all) : idset_create(0, IDSET_FLAG_AUTOGROW);
    s->checked = s->online ? idset_copy(s->online) : NULL;
    return s->checked ? drain_new(&s->drain) : -ENOMEM;
}

void stock_deinit(struct stock *s)
{
    rset_free(s->before);
    rset_free(s->given);
    drain_free(s->drain);
    idset_destroy(s->checked);
    idset_destroy(s->online);
    idset_destroy(s->excluded);
    free(s->exclude);
    rset_free(s->all);
}

/* Ranks of the job's R are those of the enclosing instance: ours count them in their order. */
int stock_set_given(struct stock *s, const struct rset *r, uint32_t size)
{
    CLEANUP(rset_freep) struct rset *given = NULL;
    int rc = rset_new(&given);

    if (s->configured)
        return 0;
    rset_set_expiration(s->all, rset_starttime(r), rset_expiration(r));
    for (uint32_t i = 0; rc == 0 && i < rset_nnodes(r); i++) {
        const struct rset_rank *rr = rset_nth(r, i);

        rc = rset_add(given, i, rr->hostname, rr->cores, rr->gpus);
    }
    if (rc == 0 && rset_nnodes(r) == size)
        s->given = TAKE(given);
    return rc;
}

int stock_remember(struct stock *s, const struct rset *r, const struct drain_hosts *hosts)
{
    CLEANUP(rset_freep) struct rset *before = NULL;
    int rc = s->configured ? 0 : rset_new(&before);

    for (size_t i = 0; before && rc == 0 && i < rset_nnodes(r); i++) {
        const struct rset_rank *rr = rset_nth(r, i);

        if (rr->rank < hosts->count && rr->hostname && hosts->names[rr->rank] &&
            strcmp(rr->hostname, hosts->names[rr->rank]) == 0)
            rc = rset_add(before, rr->rank, rr->hostname, rr->cores, rr->gpus);
    }
    if (rc < 0)
        return rc;
    rset_free(s->before);
    s->before = TAKE(before);
    return 0;
}

bool stock_is_complete(const struct stock *s, uint32_t size)
{
    if (s->configured)
        return true;
    for (uint32_t rank = 0; rank < size; rank++)
        if (!rset_find(s->all, rank) &&
            (idset_test(s->online, rank) || !s->before || !rset_find(s->before, rank)))
            return false;
    return true;
}

int stock_settle(struct stock *s, flux_error_t *error)
{
    CLEANUP(rset_freep) struct rset *before = TAKE(s->before);
    int rc = 0;

    for (size_t i = 0; before && rc == 0 && i < rset_nnodes(before); i++) {
        const struct rset_rank *rr = rset_nth(before, i);

        if (!rset_find(s->all, rr->rank))
            rc = rset_add(s->all, rr->rank, rr->hostname, rr->cores, rr->gpus);
    }
    return rc < 0 || !before ? rc : find_excluded(s, error);
}

/* A rank that is new: what it has, or its share of that. */
static int take_up(struct stock *s, const struct census_answer *answer)
{
    const struct rset_rank *given = s->given ? rset_find(s->given, answer->rank) : NULL;
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;

    if (!given)
        return rset_add(s->all, answer->rank, answer->hostname, answer->cores, answer->gpus);
    cores = enclosing_share(given->cores, answer->cores);
    gpus = enclosing_share(given->gpus, answer->gpus);
    if (!cores || !gpus)
        return -ENOMEM;
    return rset_add(s->all, answer->rank, answer->hostname, cores, gpus);
}

struct idset *stock_up(const struct stock *s)
{
    CLEANUP(idset_destroyp) struct idset *up = idset_copy(s->checked);

    if (!up || idset_subtract(up, s->excluded) < 0 || idset_subtract(up, drain_ranks(s->drain)) < 0)
        return NULL;
    for (unsigned int id = idset_first(up); id != IDSET_INVALID_ID; id = idset_next(up, id))
        if (!rset_find(s->all, id))
            (void)idset_clear(up, id);
    return TAKE(up);
}

static bool is_shown(const struct stock *s, const struct idset *known, uint32_t rank)
{
    return !idset_test(s->excluded, rank) || (known && idset_test(known, rank));
}

struct idset *stock_shown(const struct stock *s, const struct idset *known)
{
    CLEANUP(idset_destroyp) struct idset *shown = rset_ranks(s->all);

    for (unsigned int id = shown ? idset_first(shown) : IDSET_INVALID_ID; id != IDSET_INVALID_ID;
         id = idset_next(shown, id))
        if (!is_shown(s, known, id))
            (void)idset_clear(shown, id);
    return TAKE(shown);
}

json_t *stock_acquirable(const struct stock *s, const struct idset *known)
{
    CLEANUP(rset_freep) struct rset *r = NULL;

    if (rset_new(&r) < 0)
        return NULL;
    rset_set_expiration(r, rset_starttime(s->all), rset_expiration(s->all));
    for (size_t i = 0; i < rset_nnodes(s->all); i++) {
        const struct rset_rank *rr = rset_nth(s->all, i);

        if (is_shown(s, known, rr->rank) &&
            rset_add(r, rr->rank, rr->hostname, rr->cores, rr->gpus) < 0)
            return NULL;
    }
    return rset_encode(r);
}

int stock_set_online(struct stock *s, const struct idset *online, struct idset **ret_came,
                     struct idset **ret_gone)
{
    CLEANUP(idset_destroyp) struct idset *now = idset_copy(s->forced_up ? s->online : online);
    CLEANUP(idset_destroyp) struct idset *came = now ? idset_difference(now, s->online) : NULL;
    CLEANUP(idset_destroyp) struct idset *gone = now ? idset_difference(s->online, now) : NULL;

    if (!came || !gone || idset_subtract(s->checked, gone) < 0)
        return -ENOMEM;
    idset_destroy(s->online);
    s->online = TAKE(now);
    *ret_came = TAKE(came);
    *ret_gone = TAKE(gone);
    return 0;
}

int stock_check(struct stock *s, uint32_t rank)
{
    if (!idset_test(s->online, rank))
        return 0;
    return idset_set(s->checked, rank) < 0 ? -ENOMEM : 0;
}

/* "cores 8-15", or "" if nothing of what should be there is missing. */
static char *what_lacks(const struct idset *should, const struct idset *has, const char *name)
{
    CLEANUP(idset_destroyp) struct idset *lacks = idset_difference(should, has);
    CLEANUP(freep) char *ids = lacks ? idset_encode(lacks, IDSET_FLAG_RANGE) : NULL;
    char *text = NULL;

    if (!ids)
        return NULL;
    if (!ids[0])
        return strdup("");
    return asprintf(&text, "%s%s %s", name, idset_count(lacks) > 1 ? "s" : "", ids) < 0 ? NULL
                                                                                        : text;
}

static int verify(const struct stock *s, const struct rset_rank *should,
                  const struct census_answer *has, flux_error_t *error)
{
    CLEANUP(freep) char *cores = what_lacks(should->cores, has->cores, "core");
    CLEANUP(freep) char *gpus = what_lacks(should->gpus, has->gpus, "gpu");

    if (!cores || !gpus)
        return -ENOMEM;
    if (!cores[0] && !gpus[0])
        return STOCK_GOOD;
    (void)errorx_fail(error, EINVAL, "rank %u (%s): %s%s%s %s, not found", has->rank,
                      should->hostname ? should->hostname : has->hostname, cores,
                      cores[0] && gpus[0] ? " and " : "", gpus,
                      s->configured ? "configured" : "there before");
    return STOCK_LACKS;
}

int stock_answer(struct stock *s, const struct census_answer *answer, flux_error_t *error)
{
    const struct rset_rank *known = rset_find(s->all, answer->rank);
    int rc = STOCK_GOOD;

    if (known && answer->hostname && !s->noverify)
        rc = verify(s, known, answer, error);
    if (!known && answer->hostname && !s->configured) {
        if ((rc = take_up(s, answer)) < 0 || (rc = find_excluded(s, error)) < 0)
            return rc;
        rc = STOCK_GREW;
    }
    if (rc == STOCK_GOOD || rc == STOCK_GREW) {
        int checked = stock_check(s, answer->rank);

        return checked < 0 ? checked : rc;
    }
    return rc;
}

char *stock_nodelist(const struct stock *s, const struct idset *ranks)
{
    CLEANUP(hostlist_destroyp) struct hostlist *hosts = hostlist_create();

    for (unsigned int id = idset_first(ranks); hosts && id != IDSET_INVALID_ID;
         id = idset_next(ranks, id)) {
        const struct rset_rank *rr = rset_find(s->all, id);

        if (rr && rr->hostname && hostlist_append(hosts, rr->hostname) < 0)
            return NULL;
    }
    return hosts ? hostlist_encode(hosts) : NULL;
}
