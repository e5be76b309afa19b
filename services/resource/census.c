/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Invariants: `wanted` are ranks not asked yet; at most CENSUS_LIMIT questions are under way, one a
 * rank; and questions remain to be asked only if so many are. A daemon that is restarted while it
 * is asked (ECONNRESET) is asked again, RETRY_LIMIT times. Its node being lost (EHOSTUNREACH) is no
 * answer: broker.online tells that too, and when to ask again. */
#include <string.h>

#include <flux/idset.h>

#include "base/hash.h"
#include "resource/census.h"
#include "service/log.h"

#define RETRY_LIMIT 5

struct question {
    struct census *census;
    uint32_t rank;
    int retries;
    flux_future_t *f;
    UT_hash_handle hh;
};

struct census {
    struct service *svc;
    census_f fn;
    void *arg;
    struct idset *wanted;
    struct question *questions;
};

DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct census *, census_free)

static void question_free(struct question *q)
{
    HASH_DEL(q->census->questions, q);
    flux_future_destroy(q->f);
    free(q);
}

static void on_answer(flux_future_t *f, void *arg);

static int question_send(struct question *q)
{
    flux_future_destroy(q->f);
    q->f = flux_rpc(service_flux(q->census->svc), "resource.topo-summary", NULL, q->rank, 0);
    return q->f && flux_future_then(q->f, -1., on_answer, q) == 0 ? 0 : -errno;
}

static int question_new(struct census *c, uint32_t rank)
{
    struct question *q = calloc(1, sizeof(*q));
    int rc;

    if (!q)
        return -ENOMEM;
    q->census = c;
    q->rank = rank;
    HASH_ADD_INT(c->questions, rank, q);
    if (!q->hh.tbl) {
        free(q);
        return -ENOMEM;
    }
    if ((rc = question_send(q)) < 0)
        question_free(q);
    return rc;
}

static int ask_more(struct census *c)
{
    unsigned int rank;
    int rc = 0;

    while (rc == 0 && HASH_COUNT(c->questions) < CENSUS_LIMIT &&
           (rank = idset_first(c->wanted)) != IDSET_INVALID_ID) {
        (void)idset_clear(c->wanted, rank);
        rc = question_new(c, rank);
    }
    return rc;
}

/* The answer is told before the question is forgotten, since it lends what it is made of. */
static int tell(struct question *q, flux_future_t *f)
{
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    struct census_answer answer = { .rank = q->rank };
    const char *hostname, *score, *sgpu;

    if (flux_rpc_get_unpack(f, "{s:s s:s s:s}", "hostname", &hostname, "core", &score, "gpu",
                            &sgpu) < 0)
        return -errno;
    if (!(cores = idset_decode(score)) || !(gpus = idset_decode(sgpu)))
        return -EPROTO;
    answer.hostname = hostname;
    answer.cores = cores;
    answer.gpus = gpus;
    q->census->fn(&answer, q->census->arg);
    return 0;
}

static void tell_failure(struct question *q, flux_future_t *f, int rc)
{
    struct census_answer answer = { .rank = q->rank };

    log_err("rank %u does not say what it has: %s", q->rank,
            rc == -EPROTO ? "its answer is malformed" : flux_future_error_string(f));
    q->census->fn(&answer, q->census->arg);
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct question *q = arg;
    struct census *c = q->census;
    int rc = tell(q, f);

    if (rc == -ECONNRESET && q->retries++ < RETRY_LIMIT && question_send(q) == 0)
        return;
    if (rc < 0 && rc != -EHOSTUNREACH)
        tell_failure(q, f, rc);
    question_free(q);
    if (ask_more(c) < 0) {
        log_err("out of memory: beginning again from scratch");
        service_exit(c->svc, SERVICE_EXIT_ROUTER);
    }
}

int census_new(struct service *svc, census_f fn, void *arg, struct census **ret)
{
    CLEANUP(census_freep) struct census *c = calloc(1, sizeof(*c));

    if (!c || !(c->wanted = idset_create(0, IDSET_FLAG_AUTOGROW)))
        return -ENOMEM;
    c->svc = svc;
    c->fn = fn;
    c->arg = arg;
    *ret = TAKE(c);
    return 0;
}

struct census *census_free(struct census *c)
{
    struct question *q, *tmp;

    if (!c)
        return NULL;
    HASH_ITER (hh, c->questions, q, tmp)
        question_free(q);
    idset_destroy(c->wanted);
    free(c);
    return NULL;
}

void census_forget(struct census *c, const struct idset *ranks)
{
    (void)idset_subtract(c->wanted, ranks);
    for (unsigned int id = idset_first(ranks); id != IDSET_INVALID_ID; id = idset_next(ranks, id)) {
        struct question *q;

        HASH_FIND_INT(c->questions, &id, q);
        if (q)
            question_free(q);
    }
}

int census_ask(struct census *c, const struct idset *ranks)
{
    census_forget(c, ranks);
    return idset_add(c->wanted, ranks) < 0 ? -ENOMEM : ask_more(c);
}
