/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a client has seen, in the KVS or from the job manager, a list shows it: before it is
 * answered the job manager is asked how far its journal is, job-manager.journal-sync, and the
 * journal is read up to there. The answer may overtake the journal, so it is a serial number that
 * responses of the journal carry too.
 *
 * One question at a time is under way, for all requests that came before it; those that come
 * meanwhile share the next one. A question that fails is as good as answered: the journal is then
 * lost too, and who needs it waits for that. */
#include "job-list/catchup.h"

struct catchup {
    flux_t *h;
    struct waiters *waiters; /* by generation */
    flux_future_t *f;        /* the question for all generations before `generation`; or NULL */
    uint64_t generation;     /* of those that come now */
    uint64_t heard;          /* serial of the journal */
    uint64_t needed;
    bool answered; /* the question is: with needed */
};

static void ask(struct catchup *c);

static void caught_up(struct catchup *c)
{
    flux_future_destroy(c->f);
    c->f = NULL;
    c->answered = false;
    waiters_wake_before(c->waiters, c->generation);
    if (!c->f && waiters_count(c->waiters) > 0)
        ask(c);
}

static void check(struct catchup *c)
{
    if (c->answered && c->heard >= c->needed)
        caught_up(c);
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct catchup *c = arg;
    json_int_t serial;

    c->needed = flux_rpc_get_unpack(f, "{s:I}", "serial", &serial) < 0 ? 0 : (uint64_t)serial;
    c->answered = true;
    check(c);
}

static void ask(struct catchup *c)
{
    c->generation++;
    c->f = flux_rpc(c->h, "job-manager.journal-sync", NULL, FLUX_NODEID_ANY, 0);
    if (!c->f || flux_future_then(c->f, -1., on_answer, c) < 0) {
        flux_future_destroy(c->f); /* they are answered when they have waited long enough */
        c->f = NULL;
    }
}

int catchup_add(struct catchup *c, struct request *req)
{
    int rc = waiters_add(c->waiters, req, c->generation);

    if (rc == 0 && !c->f)
        ask(c);
    return rc;
}

void catchup_heard(struct catchup *c, uint64_t serial)
{
    c->heard = serial;
    check(c);
}

void catchup_lost(struct catchup *c)
{
    c->heard = 0; /* the next journal counts anew */
    if (c->f)
        caught_up(c);
}

size_t catchup_count(const struct catchup *c)
{
    return waiters_count(c->waiters);
}

int catchup_new(flux_t *h, double seconds, waiters_answer_f fn, void *arg, struct catchup **ret)
{
    CLEANUP(catchup_freep) struct catchup *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return -ENOMEM;
    c->h = h;
    rc = waiters_new(flux_get_reactor(h), seconds, fn, arg, &c->waiters);
    if (rc < 0)
        return rc;
    *ret = TAKE(c);
    return 0;
}

struct catchup *catchup_free(struct catchup *c)
{
    if (!c)
        return NULL;
    flux_future_destroy(c->f);
    waiters_free(c->waiters);
    free(c);
    return NULL;
}
