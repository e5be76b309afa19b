/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* WINDOW requests are under way at a time; answers are taken in order. */
#include "ranks.h"

#include <errno.h>
#include <string.h>

#include "base/jsonx.h"
#include "client.h"

#define WINDOW 64

struct hostlist *ranks_hosts(flux_t *h)
{
    CLEANUP(json_decrefp)
    json_t *o = client_call_rank(h, "attr.get", 0, json_pack("{s:s}", "name", "hostlist"),
                                 "read the list of hosts");
    const char *text = json_string_value(json_object_get(o, "value"));
    struct hostlist *hl;

    if (!o)
        return NULL;
    hl = hostlist_decode(text ? text : "");
    if (!hl)
        complain("the list of hosts is malformed");
    return hl;
}

static struct idset *of_hosts(flux_t *h, const char *s)
{
    CLEANUP(idset_destroyp) struct idset *ranks = idset_create(0, IDSET_FLAG_AUTOGROW);
    CLEANUP(hostlist_destroyp) struct hostlist *wanted = hostlist_decode(s);
    CLEANUP(hostlist_destroyp) struct hostlist *hosts = NULL;

    if (!wanted || hostlist_count(wanted) == 0) {
        complain("expected ranks such as 0-3,7, a list of hosts, or all, not '%s'", s);
        return NULL;
    }
    if (!ranks || !(hosts = ranks_hosts(h)))
        return NULL;
    for (int i = 0; i < hostlist_count(hosts); i++)
        if (hostlist_find(wanted, hostlist_nth(hosts, i)) >= 0)
            (void)idset_set(ranks, (unsigned int)i);
    for (int i = 0; i < hostlist_count(wanted); i++) {
        if (hostlist_find(hosts, hostlist_nth(wanted, i)) < 0) {
            complain("no node has the name %s", hostlist_nth(wanted, i));
            return NULL;
        }
    }
    return TAKE(ranks);
}

struct idset *ranks_parse(flux_t *h, const char *s)
{
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    uint32_t size;

    if (flux_get_size(h, &size) < 0) {
        complain("cannot get the size of the instance: %s", strerror(errno));
        return NULL;
    }
    if (strcmp(s, "all") == 0) {
        ranks = idset_create(size, 0);
        if (ranks && idset_range_set(ranks, 0, size - 1) == 0)
            return TAKE(ranks);
        complain("out of memory");
        return NULL;
    }
    ranks = idset_decode(s);
    if (!ranks || idset_count(ranks) == 0)
        return of_hosts(h, s);
    if (idset_last(ranks) >= size) {
        complain("there is no rank %u: this instance has %u node%s", idset_last(ranks), size,
                 plural(size));
        return NULL;
    }
    return TAKE(ranks);
}

/* 1: *ret is it; 0: passed over; -1: has complained. */
static int take_answer(const struct ranks_query *q, uint32_t rank, flux_future_t *f, json_t **ret)
{
    flux_error_t error;
    const char *s = NULL;

    if (!f || flux_future_wait_for(f, RANKS_TIMEOUT) < 0 || flux_rpc_get(f, &s) < 0) {
        if (q->skip_errnum && errno == q->skip_errnum)
            return 0;
        if (f && errno == ETIMEDOUT)
            complain("rank %u: cannot %s: no answer within %g s", rank, q->what, RANKS_TIMEOUT);
        else
            complain_future(f, "rank %u: cannot %s", rank, q->what);
        return -1;
    }
    *ret = s ? jsonx_decode_object(s, strlen(s), &error) : json_object();
    if (*ret)
        return 1;
    complain("rank %u: cannot %s: the answer is malformed: %s", rank, q->what, error.text);
    return -1;
}

int ranks_ask(const struct ranks_query *q)
{
    unsigned int ask = idset_first(q->ranks);
    flux_future_t *window[WINDOW];
    size_t asked = 0, taken = 0;
    int status = EXIT_SUCCESS;

    for (unsigned int rank = ask; rank != IDSET_INVALID_ID; rank = idset_next(q->ranks, rank)) {
        CLEANUP(json_decrefp) json_t *o = NULL;
        int rc;

        for (; ask != IDSET_INVALID_ID && asked - taken < WINDOW; ask = idset_next(q->ranks, ask))
            window[asked++ % WINDOW] = flux_rpc(q->h, q->topic, q->payload, ask, 0);
        rc = take_answer(q, rank, window[taken % WINDOW], &o);
        flux_future_destroy(window[taken++ % WINDOW]);
        if (rc > 0 && q->fn)
            q->fn(rank, o, q->arg);
        else if (rc < 0)
            status = EXIT_FAILURE;
    }
    return status;
}
