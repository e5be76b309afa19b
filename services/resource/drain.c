/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A hash of drained ranks beside their set. Invariant: both name the same ranks. */
#include <errno.h>
#include <string.h>

#include <flux/hostlist.h>

#include "base/eventlog.h"
#include "base/hash.h"
#include "resource/drain.h"
#include "service/log.h"

struct entry {
    unsigned int rank;
    double since_wall;
    char *reason; /* "" if none was given */
    UT_hash_handle hh;
};

struct drain {
    struct entry *entries;
    struct idset *ranks;
};

DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)
DEFINE_CLEANUP(struct idset *, idset_destroy)

int drain_new(struct drain **ret)
{
    CLEANUP(drain_freep) struct drain *d = calloc(1, sizeof(*d));

    if (!d || !(d->ranks = idset_create(0, IDSET_FLAG_AUTOGROW)))
        return -ENOMEM;
    *ret = TAKE(d);
    return 0;
}

static void entry_remove(struct drain *d, struct entry *e)
{
    HASH_DEL(d->entries, e);
    free(e->reason);
    free(e);
}

struct drain *drain_free(struct drain *d)
{
    struct entry *e, *tmp;

    if (!d)
        return NULL;
    HASH_ITER (hh, d->entries, e, tmp)
        entry_remove(d, e);
    idset_destroy(d->ranks);
    free(d);
    return NULL;
}

static struct entry *entry_add(struct drain *d, unsigned int rank, double timestamp)
{
    struct entry *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->rank = rank;
    e->since_wall = timestamp;
    HASH_ADD_INT(d->entries, rank, e);
    if (!e->hh.tbl || idset_set(d->ranks, rank) < 0) {
        if (e->hh.tbl)
            HASH_DEL(d->entries, e);
        free(e);
        return NULL;
    }
    return e;
}

/* What an event says of each of its ranks. */
struct verdict {
    double timestamp;
    const char *reason; /* "" if none */
    enum drain_overwrite overwrite;
};

static int drain_one(struct drain *d, unsigned int rank, const struct verdict *v)
{
    struct entry *e;
    char *copy;

    HASH_FIND_INT(d->entries, &rank, e);
    if (e && v->overwrite == DRAIN_KEEP && (e->reason[0] || !v->reason[0]))
        return 0;
    if (!(copy = strdup(v->reason)))
        return -ENOMEM;
    if (!e && !(e = entry_add(d, rank, v->timestamp))) {
        free(copy);
        return -ENOMEM;
    }
    free(e->reason);
    e->reason = copy;
    if (v->overwrite == DRAIN_ALL)
        e->since_wall = v->timestamp;
    return 0;
}

static void undrain_one(struct drain *d, unsigned int rank)
{
    struct entry *e;

    HASH_FIND_INT(d->entries, &rank, e);
    if (e)
        entry_remove(d, e);
    (void)idset_clear(d->ranks, rank);
}

static int verdict_decode(const json_t *context, double timestamp, struct verdict *ret)
{
    const json_t *overwrite = json_object_get(context, "overwrite");
    const char *reason = json_string_value(json_object_get(context, "reason"));
    json_int_t n = overwrite ? json_integer_value(overwrite) : DRAIN_REASON;

    if (n < DRAIN_KEEP || n > DRAIN_ALL || (overwrite && !json_is_integer(overwrite)))
        return -EPROTO;
    *ret = (struct verdict){ .timestamp = timestamp,
                             .reason = reason ? reason : "",
                             .overwrite = (enum drain_overwrite)n };
    return 0;
}

int drain_apply(struct drain *d, const json_t *event)
{
    CLEANUP(idset_destroyp) struct idset *ids = NULL;
    struct verdict verdict;
    const char *name, *s;
    json_t *context;
    double timestamp;

    if (eventlog_entry_parse(event, &timestamp, &name, &context) < 0)
        return -EPROTO;
    if (strcmp(name, "drain") != 0 && strcmp(name, "undrain") != 0)
        return 0;
    s = json_string_value(json_object_get(context, "idset"));
    if (!s || !(ids = idset_decode(s)) || verdict_decode(context, timestamp, &verdict) < 0)
        return -EPROTO;
    for (unsigned int id = idset_first(ids); id != IDSET_INVALID_ID; id = idset_next(ids, id)) {
        if (name[0] == 'u')
            undrain_one(d, id);
        else if (drain_one(d, id, &verdict) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* --- an eventlog of before */

static bool same_host(const char *a, const char *b)
{
    const size_t n = strcspn(a, ".");

    return a[0] && n == strcspn(b, ".") && strncmp(a, b, n) == 0;
}

/* -1: it is not there any more. */
static long rank_now(const struct drain_hosts *hosts, unsigned int rank, const char *host)
{
    if (rank < hosts->count && hosts->names[rank] && same_host(hosts->names[rank], host))
        return rank;
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->names[i] && same_host(hosts->names[i], host))
            return (long)i;
    return -1;
}

/* The idset of an event as it would be now; NULL: as it is. */
static char *ranks_now(const json_t *context, const struct drain_hosts *hosts)
{
    const char *ids = json_string_value(json_object_get(context, "idset"));
    const char *list = json_string_value(json_object_get(context, "nodelist"));
    CLEANUP(hostlist_destroyp) struct hostlist *names = list ? hostlist_decode(list) : NULL;
    CLEANUP(idset_destroyp) struct idset *then = ids ? idset_decode(ids) : NULL;
    CLEANUP(idset_destroyp) struct idset *now = idset_create(0, IDSET_FLAG_AUTOGROW);
    int i = 0;

    if (!now || !then || !names || idset_count(then) != (size_t)hostlist_count(names))
        return NULL;
    for (unsigned int id = idset_first(then); id != IDSET_INVALID_ID; id = idset_next(then, id)) {
        const char *host = hostlist_nth(names, i++);
        const long rank = rank_now(hosts, id, host);

        if (rank < 0)
            log_info("%s was drained or undrained as rank %u and is not there any more", host, id);
        else if (idset_set(now, (unsigned int)rank) < 0)
            return NULL;
    }
    return idset_encode(now, IDSET_FLAG_RANGE);
}

static int replay_one(struct drain *d, json_t *event, const struct drain_hosts *hosts)
{
    json_t *context = json_object_get(event, "context");
    CLEANUP(freep) char *ids = hosts && context ? ranks_now(context, hosts) : NULL;

    if (ids && json_object_set_new(context, "idset", json_string(ids)) < 0)
        return -ENOMEM;
    return drain_apply(d, event);
}

int drain_replay(struct drain *d, const char *eventlog, const struct drain_hosts *hosts,
                 flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *events = eventlog_decode(eventlog, strlen(eventlog), error);
    json_t *event;
    size_t i;
    int rc;

    if (!events)
        return -EPROTO;
    json_array_foreach (events, i, event)
        if ((rc = replay_one(d, event, hosts)) < 0)
            return rc;
    return 0;
}

json_t *drain_event(const struct drain_order *order)
{
    CLEANUP(freep) char *s = idset_encode(order->ranks, IDSET_FLAG_RANGE);

    if (!s)
        return NULL;
    return eventlog_entry_pack(0., "drain", "{s:s s:s* s:s s:i}", "idset", s, "nodelist",
                               order->nodelist, "reason", order->reason ? order->reason : "",
                               "overwrite", order->overwrite);
}

json_t *undrain_event(const struct idset *ranks, const char *nodelist, const char *reason)
{
    CLEANUP(freep) char *s = idset_encode(ranks, IDSET_FLAG_RANGE);

    return s ? eventlog_entry_pack(0., "undrain", "{s:s s:s* s:s*}", "idset", s, "nodelist",
                                   nodelist, "reason", reason)
             : NULL;
}

bool drain_has_reason(const struct drain *d, unsigned int rank)
{
    struct entry *e;

    HASH_FIND_INT(d->entries, &rank, e);
    return e && e->reason[0];
}

const struct idset *drain_ranks(const struct drain *d)
{
    return d->ranks;
}

/* All ranks of the set `left` that share time and reason with the first, taken out of left. */
static int encode_group(const struct drain *d, struct idset *left, json_t *o)
{
    CLEANUP(idset_destroyp) struct idset *same = idset_create(0, IDSET_FLAG_AUTOGROW);
    CLEANUP(freep) char *s = NULL;
    unsigned int first = idset_first(left);
    struct entry *e, *other;

    HASH_FIND_INT(d->entries, &first, e);
    for (unsigned int id = first; same && id != IDSET_INVALID_ID; id = idset_next(left, id)) {
        HASH_FIND_INT(d->entries, &id, other);
        if (other->since_wall == e->since_wall && strcmp(other->reason, e->reason) == 0 &&
            idset_set(same, id) < 0)
            return -ENOMEM;
    }
    s = same ? idset_encode(same, IDSET_FLAG_RANGE) : NULL;
    if (!s || idset_subtract(left, same) < 0)
        return -ENOMEM;
    return json_object_set_new(
               o, s, json_pack("{s:f s:s}", "timestamp", e->since_wall, "reason", e->reason)) == 0
               ? 0
               : -ENOMEM;
}

json_t *drain_encode(const struct drain *d)
{
    CLEANUP(json_decrefp) json_t *o = json_object();
    CLEANUP(idset_destroyp) struct idset *left = idset_copy(d->ranks);

    if (!o || !left)
        return NULL;
    while (idset_count(left) > 0)
        if (encode_group(d, left, o) < 0)
            return NULL;
    return TAKE(o);
}
