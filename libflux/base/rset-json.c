/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Resource sets as JSON (R version 1, RFC 20).
 *
 * The hosts of `nodelist` belong to the ranks in ascending order. Encoding lets neighbouring ranks
 * with equal resources share an entry of R_lite, so that the order of R_lite is that of the ranks
 * as well. Decoding keeps what execution needs and ignores the keys `scheduling`, `attributes` and
 * `execution.properties`; it refuses a rank that is listed twice, a nodelist of another length than
 * the ranks, and sets that would need more memory than RSET_WORDS_MAX. */
#include "base/rset-internal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <flux/hostlist.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/jsonx.h"

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)

#define fail(error, ...) errorx_fail(error, EPROTO, "R: " __VA_ARGS__)

/* --- decoding --- */

struct decoder {
    struct rset *r;
    size_t words; /* bitmap words used so far */
    flux_error_t *error;
};

/* A set given as an idset string; NULL string with `optional`: the empty set. */
static int decode_ids(struct decoder *d, const json_t *v, const char *what, bool optional,
                      struct idset **ret)
{
    const char *s = json_string_value(v);
    struct idset *set;

    if (!v && optional)
        s = "";
    if (!s)
        return fail(d->error, "%s must be an idset in a string", what);
    if (!(set = idset_decode(s)) && errno == ENOMEM)
        return errorx_fail(d->error, ENOMEM, "out of memory");
    if (!set)
        return fail(d->error, "%s is not an idset: %.40s", what, s);
    *ret = set;
    return 0;
}

static size_t words_of(const struct idset *set)
{
    return idset_count(set) ? idset_last(set) / 64 + 1 : 1;
}

/* One host, not a list: it must come out of a nodelist as it went in. */
static bool is_hostname(const char *s)
{
    size_t i;

    for (i = 0; isgraph((unsigned char)s[i]) && !strchr(",[]", s[i]); i++)
        ;
    return i > 0 && s[i] == '\0';
}

static int decode_entry(struct decoder *d, const json_t *entry)
{
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    const json_t *children = json_object_get(entry, "children");
    const char *hostname = json_string_value(json_object_get(entry, "node"));
    int rc;

    if (!json_is_object(children))
        return fail(d->error, "an entry of R_lite has no children");
    if (hostname && !is_hostname(hostname))
        return fail(d->error, "node is not the name of a host");
    if ((rc = decode_ids(d, json_object_get(entry, "rank"), "rank", false, &ranks)) < 0 ||
        (rc = decode_ids(d, json_object_get(children, "core"), "core", true, &cores)) < 0 ||
        (rc = decode_ids(d, json_object_get(children, "gpu"), "gpu", true, &gpus)) < 0)
        return rc;
    d->words += idset_count(ranks) * (words_of(cores) + words_of(gpus));
    if (idset_count(ranks) > RSET_RANKS_MAX || d->words > RSET_WORDS_MAX)
        return fail(d->error, "too many ranks or cores");
    for (unsigned int id = idset_first(ranks); id != IDSET_INVALID_ID; id = idset_next(ranks, id)) {
        if (rset_find(d->r, id))
            return fail(d->error, "rank %u is listed twice", id);
        if ((rc = rset_add(d->r, id, hostname, cores, gpus)) < 0)
            return errorx_fail(d->error, -rc, "R: %s", strerror(-rc));
    }
    return 0;
}

static int decode_nodelist(struct decoder *d, const json_t *nodelist)
{
    CLEANUP(hostlist_destroyp) struct hostlist *hosts = hostlist_create();
    size_t i;
    json_t *v;

    if (!hosts)
        return -ENOMEM;
    json_array_foreach ((json_t *)nodelist, i, v) {
        errno = 0;
        if (!json_is_string(v) || hostlist_append(hosts, json_string_value(v)) < 0)
            return errno == ENOMEM ? -ENOMEM
                                   : fail(d->error, "nodelist[%zu] is not a host list", i);
    }
    if ((size_t)hostlist_count(hosts) != d->r->count)
        return fail(d->error, "nodelist has %d hosts for %zu ranks", hostlist_count(hosts),
                    d->r->count);
    for (i = 0; i < d->r->count; i++) {
        struct rset_rank *rank = &d->r->ranks[i];

        free((char *)rank->hostname);
        if (!(rank->hostname = strdup(hostlist_nth(hosts, (int)i))))
            return -ENOMEM;
    }
    return 0;
}

static int decode_times(struct decoder *d, const json_t *execution)
{
    const json_t *start = json_object_get(execution, "starttime");
    const json_t *end = json_object_get(execution, "expiration");

    if ((start && !(json_is_number(start) && json_number_value(start) >= 0)) ||
        (end && !(json_is_number(end) && json_number_value(end) >= 0)))
        return fail(d->error, "starttime and expiration must be numbers that are not negative");
    d->r->starttime = json_number_value(start);
    d->r->expiration = json_number_value(end);
    return 0;
}

static int decode_execution(struct decoder *d, const json_t *execution)
{
    json_t *r_lite = json_object_get(execution, "R_lite");
    json_t *nodelist = json_object_get(execution, "nodelist");
    size_t i;
    json_t *entry;
    int rc;

    if (!json_is_array(r_lite))
        return fail(d->error, "execution.R_lite must be a list");
    json_array_foreach (r_lite, i, entry) {
        if ((rc = decode_entry(d, entry)) < 0)
            return rc;
    }
    if (nodelist && !json_is_array(nodelist))
        return fail(d->error, "execution.nodelist must be a list of host lists");
    if (nodelist && (rc = decode_nodelist(d, nodelist)) < 0)
        return rc;
    return decode_times(d, execution);
}

int rset_decode(const json_t *o, struct rset **ret, flux_error_t *error)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    struct decoder d = { .error = error };
    int rc;

    if (json_integer_value(json_object_get(o, "version")) != 1)
        return fail(error, "version must be 1");
    if ((rc = rset_new(&r)) < 0)
        return rc;
    d.r = r;
    if ((rc = decode_execution(&d, json_object_get(o, "execution"))) < 0)
        return rc;
    *ret = TAKE(r);
    return 0;
}

int rset_decode_string(const char *s, struct rset **ret, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *o = jsonx_decode_object(s, strlen(s), error);

    return o ? rset_decode(o, ret, error) : -errno;
}

/* --- encoding --- */

static bool same_resources(const struct rset_rank *a, const struct rset_rank *b)
{
    return idset_equal(a->cores, b->cores) && idset_equal(a->gpus, b->gpus);
}

/* The ranks from number i on that have the same resources as number i. */
static size_t run_length(const struct rset *r, size_t i)
{
    size_t n = 1;

    while (i + n < r->count && same_resources(&r->ranks[i], &r->ranks[i + n]))
        n++;
    return n;
}

static char *run_ranks(const struct rset *r, size_t i, size_t n)
{
    CLEANUP(idset_destroyp) struct idset *set = idset_create(0, IDSET_FLAG_AUTOGROW);

    for (size_t k = i; set && k < i + n; k++) {
        if (idset_set(set, r->ranks[k].rank) < 0)
            return NULL;
    }
    return set ? idset_encode(set, IDSET_FLAG_RANGE) : NULL;
}

static json_t *encode_run(const struct rset *r, size_t i, size_t n)
{
    CLEANUP(freep) char *ranks = run_ranks(r, i, n);
    CLEANUP(freep) char *cores = idset_encode(r->ranks[i].cores, IDSET_FLAG_RANGE);
    CLEANUP(freep) char *gpus = idset_encode(r->ranks[i].gpus, IDSET_FLAG_RANGE);

    if (!ranks || !cores || !gpus)
        return NULL;
    if (gpus[0])
        return json_pack("{s:s s:{s:s s:s}}", "rank", ranks, "children", "core", cores, "gpu",
                         gpus);
    return json_pack("{s:s s:{s:s}}", "rank", ranks, "children", "core", cores);
}

static json_t *encode_r_lite(const struct rset *r)
{
    CLEANUP(json_decrefp) json_t *r_lite = json_array();

    for (size_t i = 0; r_lite && i < r->count;) {
        size_t n = run_length(r, i);

        if (json_array_append_new(r_lite, encode_run(r, i, n)) < 0)
            return NULL;
        i += n;
    }
    return TAKE(r_lite);
}

char *rset_nodelist(const struct rset *r)
{
    CLEANUP(hostlist_destroyp) struct hostlist *hosts = hostlist_create();

    for (size_t i = 0; hosts && i < r->count; i++) {
        if (r->ranks[i].hostname && hostlist_append(hosts, r->ranks[i].hostname) < 0)
            return NULL;
    }
    return hosts ? hostlist_encode(hosts) : NULL;
}

static bool all_named(const struct rset *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!r->ranks[i].hostname)
            return false;
    }
    return r->count > 0;
}

json_t *rset_encode(const struct rset *r)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    json_t *execution;

    o = json_pack("{s:i s:{s:o s:f s:f}}", "version", 1, "execution", "R_lite", encode_r_lite(r),
                  "starttime", r->starttime, "expiration", r->expiration);
    if (o && all_named(r)) {
        CLEANUP(freep) char *nodelist = rset_nodelist(r);

        execution = json_object_get(o, "execution");
        if (!nodelist || json_object_set_new(execution, "nodelist", json_pack("[s]", nodelist)) < 0)
            return NULL;
    }
    return TAKE(o);
}

char *rset_encode_string(const struct rset *r)
{
    CLEANUP(json_decrefp) json_t *o = rset_encode(r);

    return o ? jsonx_encode(o, NULL) : NULL;
}

/* "rank[0-1]/core[0-3],gpu0 rank2/core[0-7]" */
static int describe_run(FILE *f, const struct rset *r, size_t i, size_t n)
{
    const int flags = IDSET_FLAG_RANGE | IDSET_FLAG_BRACKETS;
    CLEANUP(freep) char *ranks = run_ranks(r, i, n);
    CLEANUP(freep) char *cores = idset_encode(r->ranks[i].cores, flags);
    CLEANUP(freep) char *gpus = idset_encode(r->ranks[i].gpus, flags);

    if (!ranks || !cores || !gpus)
        return -ENOMEM;
    fprintf(f, n > 1 ? "%srank[%s]/" : "%srank%s/", i ? " " : "", ranks);
    if (cores[0])
        fprintf(f, "core%s", cores);
    if (gpus[0])
        fprintf(f, "%sgpu%s", cores[0] ? "," : "", gpus);
    return 0;
}

char *rset_describe(const struct rset *r)
{
    CLEANUP(freep) char *s = NULL;
    size_t size;
    FILE *f = open_memstream(&s, &size);
    int rc = 0;

    if (!f)
        return NULL;
    for (size_t i = 0; i < r->count && rc == 0;) {
        size_t n = run_length(r, i);

        rc = describe_run(f, r, i, n);
        i += n;
    }
    if (fclose(f) != 0 || rc < 0) {
        errno = ENOMEM;
        return NULL;
    }
    return TAKE(s);
}
