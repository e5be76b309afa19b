/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sched/pool.h"

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

static void add_nodes(struct rset *r, unsigned int first, unsigned int last, const char *cores,
                      const char *gpus)
{
    CLEANUP(idset_destroyp) struct idset *c = idset_decode(cores);
    CLEANUP(idset_destroyp) struct idset *g = idset_decode(gpus);

    for (unsigned int rank = first; rank <= last; rank++) {
        char host[32];

        snprintf(host, sizeof(host), "node%u", rank);
        assert_int_equal(rset_add(r, rank, host, c, g), 0);
    }
}

static void all_up(struct pool *pool)
{
    CLEANUP(idset_destroyp) struct idset *ranks = rset_ranks(pool_all(pool));

    pool_set_up(pool, ranks, true);
}

/* n nodes, all alike, all up */
static struct pool *make_pool(unsigned int n, const char *cores, const char *gpus)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    struct pool *pool;

    assert_int_equal(rset_new(&r), 0);
    add_nodes(r, 0, n - 1, cores, gpus);
    assert_int_equal(pool_new(r, &pool), 0);
    all_up(pool);
    return pool;
}

static void assert_alloc(struct pool *pool, struct pool_request req, const char *expect,
                         struct rset **ret)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(freep) char *s = NULL;

    assert_int_equal(pool_alloc(pool, &req, &r), POOL_ALLOCATED);
    s = rset_describe(r);
    assert_string_equal(s, expect);
    if (ret)
        *ret = TAKE(r);
}

static void assert_busy(struct pool *pool, struct pool_request req)
{
    struct rset *r = NULL;

    assert_int_equal(pool_alloc(pool, &req, &r), POOL_BUSY);
    assert_null(r);
}

static void cores_are_given_first_fit(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0-3", "");

    assert_alloc(pool, (struct pool_request){ .nslots = 1, .cores_per_slot = 2 }, "rank0/core[0-1]",
                 NULL);
    assert_alloc(pool, (struct pool_request){ .nslots = 1, .cores_per_slot = 3 }, "rank1/core[0-2]",
                 NULL);
    assert_alloc(pool, (struct pool_request){ .nslots = 2, .cores_per_slot = 1 }, "rank0/core[2-3]",
                 NULL);
    assert_alloc(pool, (struct pool_request){ .nslots = 1, .cores_per_slot = 1 }, "rank1/core3",
                 NULL);
    assert_busy(pool, (struct pool_request){ .nslots = 1, .cores_per_slot = 1 });
}

static void a_slot_never_spans_nodes(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0-3", "");

    assert_alloc(pool, (struct pool_request){ .nslots = 2, .cores_per_slot = 3 },
                 "rank[0-1]/core[0-2]", NULL);
    assert_busy(pool, (struct pool_request){ .nslots = 1, .cores_per_slot = 2 });
}

static void gpus_are_given_with_their_slots(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0-3", "0-1");
    CLEANUP(rset_freep) struct rset *r = NULL;

    assert_alloc(pool,
                 (struct pool_request){ .nslots = 3, .cores_per_slot = 1, .gpus_per_slot = 1 },
                 "rank0/core[0-1],gpu[0-1] rank1/core0,gpu0", &r);
    assert_int_equal(rset_count(r, "gpu"), 3);
    assert_busy(pool,
                (struct pool_request){ .nslots = 2, .cores_per_slot = 1, .gpus_per_slot = 1 });
}

static void nodes_get_slots_evenly(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(4, "0-3", "");
    CLEANUP(rset_freep) struct rset *r = NULL;
    size_t most = 0, least = 99;

    assert_int_equal(
        pool_alloc(pool, &(struct pool_request){ .nnodes = 4, .nslots = 10, .cores_per_slot = 1 },
                   &r),
        POOL_ALLOCATED);
    assert_int_equal(rset_nnodes(r), 4);
    for (size_t i = 0; i < 4; i++) {
        size_t n = idset_count(rset_nth(r, i)->cores);

        most = n > most ? n : most;
        least = n < least ? n : least;
    }
    assert_int_equal(most, 3);
    assert_int_equal(least, 2);
}

static void uneven_nodes_take_the_share_they_can(void **state)
{
    CLEANUP(rset_freep) struct rset *all = NULL;
    CLEANUP(pool_freep) struct pool *pool = NULL;

    /* 5 slots on 2 nodes is 3 + 2: the small node comes first and must take the 2 */
    assert_int_equal(rset_new(&all), 0);
    add_nodes(all, 0, 0, "0-1", "");
    add_nodes(all, 1, 1, "0-7", "");
    assert_int_equal(pool_new(all, &pool), 0);
    all_up(pool);
    assert_alloc(pool, (struct pool_request){ .nnodes = 2, .nslots = 5, .cores_per_slot = 1 },
                 "rank0/core[0-1] rank1/core[0-2]", NULL);
}

static void exclusive_takes_whole_idle_nodes_only(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(3, "0-3", "0");
    struct pool_request one_core = { .nslots = 1, .cores_per_slot = 1 };
    struct pool_request whole = {
        .nnodes = 2, .nslots = 2, .cores_per_slot = 1, .exclusive = true
    };

    assert_alloc(pool, one_core, "rank0/core0", NULL);
    assert_alloc(pool, whole, "rank[1-2]/core[0-3],gpu0", NULL);
    whole.nnodes = 1;
    whole.nslots = 1;
    assert_busy(pool, whole);
    assert_alloc(pool, one_core, "rank0/core1", NULL);
}

static void nodes_that_are_down_are_not_allocated(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0", "");
    CLEANUP(idset_destroyp) struct idset *zero = idset_decode("0");
    struct pool_request one_core = { .nslots = 1, .cores_per_slot = 1 };
    uint64_t generation;

    pool_set_up(pool, zero, false);
    assert_int_equal(pool_usage(pool).down_nodes, 1);
    assert_alloc(pool, one_core, "rank1/core0", NULL);
    assert_busy(pool, one_core);
    generation = pool_generation(pool);
    pool_set_up(pool, zero, true);
    assert_true(pool_generation(pool) > generation);
    assert_alloc(pool, one_core, "rank0/core0", NULL);
}

static void what_a_down_node_gives_back_is_not_offered(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(1, "0", "");
    CLEANUP(idset_destroyp) struct idset *zero = idset_decode("0");
    CLEANUP(rset_freep) struct rset *r = NULL;
    struct pool_request one_core = { .nslots = 1, .cores_per_slot = 1 };

    assert_alloc(pool, one_core, "rank0/core0", &r);
    pool_set_up(pool, zero, false);
    assert_int_equal(pool_release(pool, r), 0);
    assert_busy(pool, one_core);
    pool_set_up(pool, zero, true);
    assert_alloc(pool, one_core, "rank0/core0", NULL);
}

static void giving_back_twice_is_refused_and_changes_nothing(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0-1", "0");
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(rset_freep) struct rset *foreign = NULL;

    assert_alloc(pool,
                 (struct pool_request){ .nslots = 2, .cores_per_slot = 2, .gpus_per_slot = 1 },
                 "rank[0-1]/core[0-1],gpu0", &r);
    assert_int_equal(rset_new(&foreign), 0);
    add_nodes(foreign, 1, 2, "0-1", "");
    assert_int_equal(pool_release(pool, foreign), -EINVAL);
    assert_int_equal(pool_usage(pool).busy_cores, 4);
    assert_int_equal(pool_release(pool, r), 0);
    assert_int_equal(pool_usage(pool).busy_cores, 0);
    assert_int_equal(pool_usage(pool).busy_gpus, 0);
    assert_int_equal(pool_release(pool, r), -EINVAL);
    assert_int_equal(pool_usage(pool).busy_cores, 0);
}

static void take_marks_what_is_free_and_tells_of_the_rest(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0-1", "");
    CLEANUP(rset_freep) struct rset *wanted = NULL;
    CLEANUP(rset_freep) struct rset *first = NULL;
    CLEANUP(rset_freep) struct rset *second = NULL;
    CLEANUP(freep) char *s = NULL;

    assert_int_equal(rset_new(&wanted), 0);
    add_nodes(wanted, 0, 0, "0", "");
    assert_int_equal(pool_take(pool, wanted, &first), 0);
    add_nodes(wanted, 0, 2, "0-1", "");
    assert_int_equal(pool_take(pool, wanted, &second), 1);
    s = rset_describe(second);
    assert_string_equal(s, "rank0/core1 rank1/core[0-1]");
    assert_int_equal(pool_release(pool, first), 0);
    assert_int_equal(pool_release(pool, second), 0);
    assert_int_equal(pool_usage(pool).busy_cores, 0);
}

static void allocated_and_down_are_told_as_sets(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0-1", "");
    CLEANUP(idset_destroyp) struct idset *one = idset_decode("1");
    CLEANUP(rset_freep) struct rset *allocated = NULL;
    CLEANUP(rset_freep) struct rset *down = NULL;

    assert_alloc(pool, (struct pool_request){ .nslots = 1, .cores_per_slot = 1 }, "rank0/core0",
                 NULL);
    pool_set_up(pool, one, false);
    assert_int_equal(pool_allocated(pool, &allocated), 0);
    assert_int_equal(rset_count(allocated, "core"), 1);
    assert_int_equal(pool_down(pool, &down), 0);
    assert_int_equal(rset_nnodes(down), 1);
    assert_string_equal(rset_nth(down, 0)->hostname, "node1");
}

static void what_can_never_fit_is_refused_with_a_sentence(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0-3", "0");
    CLEANUP(pool_freep) struct pool *bare = make_pool(2, "0-3", "");
    static const struct {
        struct pool_request req;
        const char *text;
    } cases[] = {
        { { .nnodes = 3, .nslots = 3, .cores_per_slot = 1 },
          "the job asks for 3 nodes, but there are only 2" },
        { { .nslots = 1, .cores_per_slot = 5 },
          "the job asks for 5 cores in one slot, but the largest node has 4" },
        { { .nslots = 9, .cores_per_slot = 1 }, "the job asks for 9 cores, but there are only 8" },
        { { .nslots = 3, .cores_per_slot = 1, .gpus_per_slot = 1 },
          "the job asks for 3 gpus, but there are only 2" },
        { { .nslots = 1, .cores_per_slot = 1, .gpus_per_slot = 2 },
          "the job asks for 2 gpus in one slot, but the largest node has 1" },
        { { .nnodes = 1, .nslots = 5, .cores_per_slot = 1 },
          "the job asks for 5 cores and 0 gpus on each node, but no node has that many" },
        { { .nslots = 3, .cores_per_slot = 2, .gpus_per_slot = 0, .nnodes = 0 }, NULL },
        { { .nslots = 2, .cores_per_slot = 3 }, NULL },
        { { .nslots = 3, .cores_per_slot = 3 }, "the job asks for 9 cores, but there are only 8" },
        { { .nslots = 2, .cores_per_slot = 4, .gpus_per_slot = 1, .exclusive = true }, NULL },
    };
    flux_error_t error;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int rc = pool_check(pool, &cases[i].req, &error);

        assert_int_equal(rc, cases[i].text ? -ENOSPC : 0);
        if (cases[i].text)
            assert_string_equal(error.text, cases[i].text);
    }
    assert_int_equal(
        pool_check(bare,
                   &(struct pool_request){ .nslots = 1, .cores_per_slot = 1, .gpus_per_slot = 1 },
                   &error),
        -ENOSPC);
    assert_string_equal(error.text, "the job asks for gpus, but there are none");
}

static void slots_that_do_not_add_up_are_refused_with_a_sentence(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(3, "0-2", "");
    flux_error_t error;

    /* 9 cores in all, but each node has room for one slot of two */
    assert_int_equal(
        pool_check(pool, &(struct pool_request){ .nslots = 4, .cores_per_slot = 2 }, &error),
        -ENOSPC);
    assert_string_equal(error.text, "the job asks for 4 slots of 2 cores and 0 gpus, but only 3 "
                                    "such slots fit on the nodes");
}

static void feasibility_does_not_mind_what_is_busy_or_down(void **state)
{
    CLEANUP(pool_freep) struct pool *pool = make_pool(2, "0-1", "");
    CLEANUP(idset_destroyp) struct idset *one = idset_decode("1");
    struct pool_request all = { .nnodes = 2, .nslots = 2, .cores_per_slot = 2, .exclusive = true };

    assert_alloc(pool, (struct pool_request){ .nslots = 1, .cores_per_slot = 1 }, "rank0/core0",
                 NULL);
    pool_set_up(pool, one, false);
    assert_int_equal(pool_check(pool, &all, NULL), 0);
    assert_busy(pool, all);
}

/* --- properties, on random pools and requests from a fixed seed */

static uint64_t rng_state;

static unsigned int rnd(unsigned int n)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned int)(rng_state >> 33) % n;
}

static struct pool *random_pool(void)
{
    CLEANUP(rset_freep) struct rset *all = NULL;
    unsigned int nranks = 1 + rnd(12);
    struct pool *pool;

    assert_int_equal(rset_new(&all), 0);
    for (unsigned int i = 0; i < nranks; i++) {
        char cores[32], gpus[32] = "";

        snprintf(cores, sizeof(cores), "%u-%u", rnd(3), 3 + rnd(8));
        if (rnd(2))
            snprintf(gpus, sizeof(gpus), "0-%u", rnd(3));
        add_nodes(all, i * (1 + rnd(1)), i, cores, gpus);
    }
    assert_int_equal(pool_new(all, &pool), 0);
    all_up(pool);
    return pool;
}

static void assert_fits_request(const struct rset *r, const struct pool_request *req)
{
    size_t slots = 0;

    for (size_t i = 0; i < rset_nnodes(r); i++) {
        const struct rset_rank *rr = rset_nth(r, i);
        size_t n = idset_count(rr->cores) / (size_t)req->cores_per_slot;

        if (req->gpus_per_slot > 0 && idset_count(rr->gpus) / (size_t)req->gpus_per_slot < n)
            n = idset_count(rr->gpus) / (size_t)req->gpus_per_slot;
        slots += n;
    }
    assert_true(slots >= (size_t)req->nslots);
    if (req->nnodes > 0)
        assert_int_equal(rset_nnodes(r), req->nnodes);
    if (req->exclusive)
        return;
    assert_int_equal(rset_count(r, "core"), req->nslots * req->cores_per_slot);
    assert_int_equal(rset_count(r, "gpu"), req->nslots * req->gpus_per_slot);
}

static struct pool_request random_request(void)
{
    struct pool_request req = { .nslots = 1 + (int)rnd(6),
                                .cores_per_slot = 1 + (int)rnd(4),
                                .gpus_per_slot = rnd(3) == 0,
                                .exclusive = rnd(4) == 0 };

    if (rnd(2))
        req.nnodes = 1 + (int)rnd((unsigned int)req.nslots);
    return req;
}

/* Nothing is given twice, all that is given was free and is part of the inventory, usage adds up,
 * and when all is returned the pool is as it was. */
static void random_use_never_overallocates(void **state)
{
    enum { MAX = 64 };

    rng_state = 20261121;
    for (int round = 0; round < 60; round++) {
        CLEANUP(pool_freep) struct pool *pool = random_pool();
        CLEANUP(rset_freep) struct rset *busy = NULL;
        struct rset *held[MAX] = { NULL };

        assert_int_equal(rset_new(&busy), 0);
        for (int step = 0; step < 400; step++) {
            struct rset **slot = &held[rnd(MAX)];
            struct pool_request req = random_request();

            if (*slot) {
                assert_true(rset_contains(busy, *slot));
                assert_int_equal(pool_release(pool, *slot), 0);
                assert_int_equal(rset_subtract(busy, *slot), 0);
                *slot = rset_free(*slot);
            } else if (pool_alloc(pool, &req, slot) == POOL_ALLOCATED) {
                size_t before = rset_count(busy, "core") + rset_count(busy, "gpu");

                assert_int_equal(pool_check(pool, &req, NULL), 0);
                assert_true(rset_contains(pool_all(pool), *slot));
                assert_fits_request(*slot, &req);
                assert_int_equal(rset_union(busy, *slot), 0);
                assert_int_equal(rset_count(busy, "core") + rset_count(busy, "gpu"),
                                 before + rset_count(*slot, "core") + rset_count(*slot, "gpu"));
            }
            assert_int_equal(pool_usage(pool).busy_cores, rset_count(busy, "core"));
            assert_int_equal(pool_usage(pool).busy_gpus, rset_count(busy, "gpu"));
        }
        for (int i = 0; i < MAX; i++) {
            if (held[i])
                assert_int_equal(pool_release(pool, held[i]), 0);
            rset_free(held[i]);
        }
        assert_int_equal(pool_usage(pool).busy_nodes, 0);
    }
}

/* On an idle pool, "never fits" and "does not fit" are the same. */
static void feasible_is_what_an_idle_pool_can_give(void **state)
{
    rng_state = 7;
    for (int round = 0; round < 2000; round++) {
        CLEANUP(pool_freep) struct pool *pool = random_pool();
        CLEANUP(rset_freep) struct rset *r = NULL;
        struct pool_request req = random_request();

        req.nslots *= 1 + (int)rnd(4);
        if (pool_check(pool, &req, NULL) == 0)
            assert_int_equal(pool_alloc(pool, &req, &r), POOL_ALLOCATED);
        else
            assert_int_equal(pool_alloc(pool, &req, &r), POOL_BUSY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_are_given_first_fit),
        cmocka_unit_test(a_slot_never_spans_nodes),
        cmocka_unit_test(gpus_are_given_with_their_slots),
        cmocka_unit_test(nodes_get_slots_evenly),
        cmocka_unit_test(uneven_nodes_take_the_share_they_can),
        cmocka_unit_test(exclusive_takes_whole_idle_nodes_only),
        cmocka_unit_test(nodes_that_are_down_are_not_allocated),
        cmocka_unit_test(what_a_down_node_gives_back_is_not_offered),
        cmocka_unit_test(giving_back_twice_is_refused_and_changes_nothing),
        cmocka_unit_test(take_marks_what_is_free_and_tells_of_the_rest),
        cmocka_unit_test(allocated_and_down_are_told_as_sets),
        cmocka_unit_test(what_can_never_fit_is_refused_with_a_sentence),
        cmocka_unit_test(slots_that_do_not_add_up_are_refused_with_a_sentence),
        cmocka_unit_test(feasibility_does_not_mind_what_is_busy_or_down),
        cmocka_unit_test(random_use_never_overallocates),
        cmocka_unit_test(feasible_is_what_an_idle_pool_can_give),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
