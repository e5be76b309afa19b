/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/heap.h"

#define N 300

struct item {
    struct heap_node node;
    int key;
};

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct item, node)->key < container_of(b, struct item, node)->key;
}

static struct item *least(struct item *items)
{
    struct item *best = NULL;

    for (int i = 0; i < N; i++) {
        if (heap_has(&items[i].node) && (!best || items[i].key < best->key))
            best = &items[i];
    }
    return best;
}

static void test_the_first_is_the_least_after_any_change(void **state)
{
    struct heap h = { .before = before };
    static struct item items[N];
    size_t count = 0;

    srandom(7);
    for (int i = 0; i < 20000; i++) {
        struct item *it = &items[random() % N];

        if (!heap_has(&it->node)) {
            it->key = (int)(random() % 5000) * N + (int)(it - items); /* no two are the same */
            assert_int_equal(heap_add(&h, &it->node), 0);
            count++;
        } else if (random() % 2) {
            heap_remove(&h, &it->node);
            assert_false(heap_has(&it->node));
            count--;
        } else {
            it->key = (int)(random() % 5000) * N + (int)(it - items);
            heap_moved(&h, &it->node);
        }
        assert_int_equal(h.count, count);
        if (count > 0)
            assert_ptr_equal(heap_first(&h), &least(items)->node);
        else
            assert_null(heap_first(&h));
    }
    assert_true(count > 0);
    heap_deinit(&h);
    assert_null(heap_first(&h));
    assert_null(least(items));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_is_the_least_after_any_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
