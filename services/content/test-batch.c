/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "content/batch.h"
#include "content/faulty-vfs.h"

struct fixture {
    char dir[64];
    char path[128];
    struct store_params params;
    struct store *st;
};

static void reopen(struct fixture *fx)
{
    flux_error_t error;

    store_close(fx->st);
    fx->st = NULL;
    if (store_open(&fx->params, &fx->st, &error) < 0)
        fail_msg("%s", error.text);
}

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    strcpy(fx->dir, "/tmp/test-batch.XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/content.sqlite", fx->dir);
    fx->params = (struct store_params){ .path = fx->path, .sync = STORE_SYNC_FULL };
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    char command[128];

    faulty_vfs_arm(-1);
    store_close(fx->st);
    snprintf(command, sizeof(command), "rm -rf %s", fx->dir);
    assert_int_equal(system(command), 0);
    free(fx);
    return 0;
}

static size_t message(char *buf, const char *header, const char *blobs)
{
    uint32_t n = htonl((uint32_t)strlen(header));

    memcpy(buf, &n, 4);
    strcpy(buf + 4, header);
    strcpy(buf + 4 + strlen(header), blobs);
    return 4 + strlen(header) + strlen(blobs);
}

static int decode(const char *header, const char *blobs)
{
    char buf[1000];
    size_t size = message(buf, header, blobs);
    json_t *o = NULL;
    flux_error_t error = { .text = "" };
    struct change ch;
    int rc = change_decode(buf, size, 100, &ch, &o, &error);

    if (rc < 0)
        assert_true(error.text[0]); /* every refusal is a sentence */
    json_decref(o);
    return rc;
}

static void test_well_formed_commits_are_accepted(void **state)
{
    assert_int_equal(decode("{\"blobs\":[],\"roots\":[]}", ""), 0);
    assert_int_equal(decode("{\"blobs\":[3,0,2]}", "abcde"), 0);
    assert_int_equal(decode("{\"blobs\":[1],\"roots\":[{\"ns\":\"a\",\"root\":null},"
                            "{\"ns\":\"b\",\"root\":{\"seq\":1}}]}",
                            "x"),
                     0);
}

static void test_malformed_commits_are_refused(void **state)
{
    char buf[8] = { 0, 0, 0, 100 };
    flux_error_t error;
    struct change ch;
    json_t *o;

    assert_int_equal(decode("{", ""), -EPROTO);
    assert_int_equal(decode("[]", ""), -EPROTO);
    assert_int_equal(decode("{}", ""), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[3]}", "ab"), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[1]}", "ab"), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[-1,3]}", "ab"), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[9223372036854775807,9223372036854775807]}", "ab"), -EFBIG);
    assert_int_equal(decode("{\"blobs\":[101]}", "ab"), -EFBIG);
    assert_int_equal(decode("{\"blobs\":[],\"roots\":{}}", ""), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[],\"roots\":[{\"ns\":\"a\"}]}", ""), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[],\"roots\":[{\"ns\":7,\"root\":null}]}", ""), -EPROTO);
    assert_int_equal(change_decode(buf, 3, 100, &ch, &o, &error), -EPROTO);
    assert_int_equal(change_decode(buf, 8, 100, &ch, &o, &error), -EPROTO);
}

static void assert_stored(struct fixture *fx, const char *text, int expected)
{
    uint8_t digest[DIGEST_SIZE];
    void *data = NULL;
    size_t size;

    digest_compute(DIGEST_BLAKE2B, text, strlen(text), digest);
    assert_int_equal(store_load(fx->st, digest, &data, &size), expected);
    free(data);
}

static void test_a_batch_is_one_transaction_with_all_in_it(void **state)
{
    struct fixture *fx = *state;
    struct change_list list = TAILQ_HEAD_INITIALIZER(list);
    struct change ch[3] = { { .data = "one", .data_size = 3 },
                            { .data = "two", .data_size = 3 },
                            { .checkpoint_key = "k", .checkpoint_value = "1" } };
    char *value;

    reopen(fx);
    for (int i = 0; i < 3; i++)
        TAILQ_INSERT_TAIL(&list, &ch[i], link);
    assert_int_equal(batch_apply(fx->st, DIGEST_BLAKE2B, &list), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ch[i].err, 0);
    reopen(fx);
    assert_stored(fx, "one", 0);
    assert_stored(fx, "two", 0);
    assert_int_equal(store_get_checkpoint(fx->st, "k", &value), 0);
    free(value);
}

static void test_one_that_does_not_fit_does_not_take_others_with_it(void **state)
{
    struct fixture *fx = *state;
    struct change_list list = TAILQ_HEAD_INITIALIZER(list);
    static char big[400000];
    struct change ch[3] = { { .data = "one", .data_size = 3 },
                            { .data = big, .data_size = sizeof(big) },
                            { .data = "two", .data_size = 3 } };

    fx->params.max_pages = 40;
    reopen(fx);
    for (int i = 0; i < 3; i++)
        TAILQ_INSERT_TAIL(&list, &ch[i], link);
    assert_int_equal(batch_apply(fx->st, DIGEST_BLAKE2B, &list), 0);
    assert_int_equal(ch[0].err, 0);
    assert_int_equal(ch[1].err, -ENOSPC);
    assert_int_equal(ch[2].err, 0);
    assert_stored(fx, "one", 0);
    assert_stored(fx, "two", 0);
}

/* Whatever write or sync fails: what was acknowledged is there when the disk works again, and what
 * is there is whole. */
static void test_no_failing_write_loses_what_was_acknowledged(void **state)
{
    struct fixture *fx = *state;
    int failed = 0;

    for (int fault = 0; fault < 60; fault++) {
        bool acknowledged[30] = { false };
        char text[30][32];

        reopen(fx);
        faulty_vfs_arm(fault);
        for (int i = 0; i < 30; i++) {
            struct change_list list = TAILQ_HEAD_INITIALIZER(list);
            int len = snprintf(text[i], sizeof(text[i]), "fault %d blob %d", fault, i);
            struct change ch = { .data = text[i], .data_size = (size_t)len };

            TAILQ_INSERT_TAIL(&list, &ch, link);
            if (batch_apply(fx->st, DIGEST_BLAKE2B, &list) < 0) {
                assert_int_equal(ch.err, -EIO);
                failed++;
                break;
            }
            acknowledged[i] = ch.err == 0;
        }
        fx->st = store_close(fx->st); /* as the process would: exit */
        faulty_vfs_arm(-1);
        reopen(fx);
        for (int i = 0; i < 30 && acknowledged[i]; i++)
            assert_stored(fx, text[i], 0);
    }
    assert_true(failed > 30);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed_commits_are_accepted),
        cmocka_unit_test(test_malformed_commits_are_refused),
        T(test_a_batch_is_one_transaction_with_all_in_it),
        T(test_one_that_does_not_fit_does_not_take_others_with_it),
        T(test_no_failing_write_loses_what_was_acknowledged),
    };

    faulty_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
