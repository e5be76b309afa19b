/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "queue.h"

#define N 300

static struct job *scan(struct job **jobs, bool reversed)
{
    struct job *best = NULL;

    for (int i = 0; i < N; i++) {
        if (!heap_has(&jobs[i]->queued))
            continue;
        if (!best || (job_order(jobs[i], best) < 0) != reversed)
            best = jobs[i];
    }
    return best;
}

static void random_changes(bool reversed)
{
    struct queue q;
    struct job *jobs[N];

    queue_init(&q, reversed);
    srandom(7);
    for (int i = 0; i < N; i++)
        assert_int_equal(job_new((flux_jobid_t)i + 1, &jobs[i]), 0);
    for (int i = 0; i < 20000; i++) {
        struct job *job = jobs[random() % N];

        if (!heap_has(&job->queued)) {
            job->priority = (uint32_t)random() % 10;
            assert_int_equal(queue_add(&q, job), 0);
        } else if (random() % 2)
            queue_remove(&q, job);
        else {
            job->priority = (uint32_t)random() % 10;
            queue_update(&q, job);
        }
        assert_ptr_equal(queue_first(&q), scan(jobs, reversed));
    }
    queue_deinit(&q);
    for (int i = 0; i < N; i++)
        job_unref(jobs[i]);
}

static void first_is_the_highest_priority_then_the_lowest_id(void **state)
{
    random_changes(false);
}

static void first_of_a_reversed_queue_is_served_last(void **state)
{
    random_changes(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_is_the_highest_priority_then_the_lowest_id),
        cmocka_unit_test(first_of_a_reversed_queue_is_served_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
