/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "batch.h"

static struct submission *make(flux_jobid_t id, size_t size)
{
    struct submission *s = calloc(1, sizeof(*s));

    s->id = id;
    s->t_submit = 1.5;
    s->J = calloc(1, size + 1);
    memset(s->J, 'j', size);
    s->jobspec = strdup("{\"a\":1,\"e\":2}");
    s->reduced = strdup("{\"a\":1}");
    return s;
}

static void clear(struct batch *b)
{
    struct submission *s;

    while ((s = batch_pop(b)))
        submission_free(s);
    assert_int_equal(b->n, 0);
    assert_int_equal(b->bytes, 0);
}

static void a_batch_takes_all_that_waits_in_order(void **state)
{
    struct batch waiting, b;

    batch_init(&waiting);
    batch_init(&b);
    for (flux_jobid_t id = 1; id <= 100; id++)
        batch_add(&waiting, make(id, 10));
    batch_take(&waiting, &b);
    assert_int_equal(waiting.n, 0);
    assert_int_equal(b.n, 100);
    for (flux_jobid_t id = 1; id <= 100; id++) {
        struct submission *s = batch_pop(&b);

        assert_int_equal(s->id, id);
        submission_free(s);
    }
    clear(&b);
}

static void a_batch_is_bounded_by_number_and_by_size(void **state)
{
    struct batch waiting, b;

    batch_init(&waiting);
    batch_init(&b);
    for (flux_jobid_t id = 1; id <= BATCH_JOBS_MAX + 1; id++)
        batch_add(&waiting, make(id, 10));
    batch_take(&waiting, &b);
    assert_int_equal(b.n, BATCH_JOBS_MAX);
    assert_int_equal(waiting.n, 1);
    clear(&b);
    clear(&waiting);
    for (flux_jobid_t id = 1; id <= 20; id++)
        batch_add(&waiting, make(id, 1 << 20));
    batch_take(&waiting, &b);
    assert_int_equal(b.n, 8);
    assert_true(b.bytes >= BATCH_BYTES_MAX && b.bytes < BATCH_BYTES_MAX + (2u << 20));
    clear(&b);
    clear(&waiting);
}

static void the_announcement_is_json_without_environments(void **state)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *text = NULL;
    struct batch b;
    json_int_t id;
    int a;

    batch_init(&b);
    batch_add(&b, make(7, 1));
    batch_add(&b, make(8, 1));
    text = batch_announcement(&b);
    assert_non_null(text);
    o = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(o, "jobs")), 2);
    assert_int_equal(
        json_unpack(o, "{s:[{},{s:I s:{s:i !}}]}", "jobs", "id", &id, "jobspec", "a", &a), 0);
    assert_int_equal(id, 8);
    clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_takes_all_that_waits_in_order),
        cmocka_unit_test(a_batch_is_bounded_by_number_and_by_size),
        cmocka_unit_test(the_announcement_is_json_without_environments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
