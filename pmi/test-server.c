/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/testing.h"
#include "pmi/server.h"

#define RANKS 8

struct fixture {
    struct pmi_server *s;
    char last[RANKS][PMI_LINE_MAX];
    int answers[RANKS];
    json_t *exchanged; /* keys of the last barrier; owned */
    int barriers;
    int aborted, exit_code;
};

static int on_send(uint32_t rank, const char *line, void *arg)
{
    struct fixture *f = arg;

    strcpy(f->last[rank], line);
    f->answers[rank]++;
    return 0;
}

static void on_barrier(struct pmi_server *s, json_t *keys, void *arg)
{
    struct fixture *f = arg;

    f->barriers++;
    json_decref(f->exchanged);
    f->exchanged = json_deep_copy(keys);
}

static void on_abort(uint32_t rank, int exit_code, void *arg)
{
    struct fixture *f = arg;

    f->aborted = (int)rank;
    f->exit_code = exit_code;
}

static void make(struct fixture *f, struct pmi_server_options o)
{
    memset(f, 0, sizeof(*f));
    f->aborted = -1;
    o.kvsname = "kvs";
    o.ops.send = on_send;
    o.ops.abort = on_abort;
    o.arg = f;
    assert_int_equal(pmi_server_new(&o, &f->s), 0);
}

static void unmake(struct fixture *f)
{
    f->s = pmi_server_free(f->s);
    json_decref(f->exchanged);
}

static void expect(struct fixture *f, uint32_t rank, const char *line, const char *answer)
{
    flux_error_t error = { "" };
    const int before = f->answers[rank];

    assert_int_equal(pmi_server_request(f->s, rank, line, &error), 0);
    assert_int_equal(f->answers[rank], before + (answer != NULL));
    if (answer) {
        assert_int_equal(f->last[rank][strlen(f->last[rank]) - 1], '\n');
        f->last[rank][strlen(f->last[rank]) - 1] = '\0';
        assert_string_equal(f->last[rank], answer);
    }
}

static void expect_error(struct fixture *f, uint32_t rank, const char *line, int rc)
{
    flux_error_t error = { "" };
    const int before = f->answers[rank % RANKS];

    assert_int_equal(pmi_server_request(f->s, rank, line, &error), rc);
    assert_true(error.text[0]);
    assert_int_equal(f->answers[rank % RANKS], before);
}

#define INIT    "cmd=init pmi_version=1 pmi_subversion=1"
#define INIT_OK "cmd=response_to_init rc=0 pmi_version=1 pmi_subversion=1"

static void test_a_client_learns_limits_name_and_size(void **state)
{
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 2, .mapping = "(vector,(0,1,2))", .appnum = 7 });
    expect(&f, 1, INIT, INIT_OK);
    expect(&f, 1, "cmd=get_maxes", "cmd=maxes rc=0 kvsname_max=256 keylen_max=64 vallen_max=1024");
    expect(&f, 1, "cmd=get_appnum", "cmd=appnum rc=0 appnum=7");
    expect(&f, 1, "cmd=get_my_kvsname", "cmd=my_kvsname rc=0 kvsname=kvs");
    expect(&f, 1, "cmd=get_universe_size", "cmd=universe_size rc=0 size=2");
    expect(&f, 1, "cmd=get kvsname=kvs key=PMI_process_mapping",
           "cmd=get_result rc=0 value=(vector,(0,1,2))");
    expect(&f, 1, "cmd=finalize", "cmd=finalize_ack rc=0");
    unmake(&f);
}

static void test_versions_from_1_on_are_answered_with_1_1(void **state)
{
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 1 });
    expect(&f, 0, "cmd=init pmi_version=0 pmi_subversion=9",
           "cmd=response_to_init rc=-1 msg=unknown_version");
    expect_error(&f, 0, "cmd=get_maxes", -EPROTO);
    expect(&f, 0, "cmd=init pmi_version=2 pmi_subversion=0", INIT_OK);
    unmake(&f);
}

static void test_keys_can_be_read_after_the_barrier_and_not_before(void **state)
{
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 2 });
    expect(&f, 0, INIT, INIT_OK);
    expect(&f, 1, INIT, INIT_OK);
    expect(&f, 0, "cmd=put kvsname=kvs key=a value=1 2", "cmd=put_result rc=0");
    expect(&f, 1, "cmd=get kvsname=kvs key=a", "cmd=get_result rc=-1 msg=key_not_found");
    expect(&f, 0, "cmd=barrier_in", NULL);
    assert_int_equal(pmi_server_waiting(f.s), 1);
    expect(&f, 1, "cmd=barrier_in", "cmd=barrier_out rc=0");
    assert_string_equal(f.last[0], "cmd=barrier_out rc=0\n");
    assert_int_equal(pmi_server_waiting(f.s), 0);
    expect(&f, 1, "cmd=get kvsname=kvs key=a", "cmd=get_result rc=0 value=1 2");
    unmake(&f);
}

static void test_a_barrier_of_several_servers_exchanges_keys_and_ends_when_told(void **state)
{
    const uint32_t ranks[] = { 2, 5 };
    struct fixture f;
    json_t *all;

    make(&f, (struct pmi_server_options){
                 .size = 6, .ranks = ranks, .nranks = 2, .ops.barrier = on_barrier });
    expect_error(&f, 3, INIT, -ENOENT);
    expect(&f, 2, INIT, INIT_OK);
    expect(&f, 5, INIT, INIT_OK);
    expect(&f, 5, "cmd=get_universe_size", "cmd=universe_size rc=0 size=6");
    expect(&f, 2, "cmd=put kvsname=kvs key=two value=2", "cmd=put_result rc=0");
    expect(&f, 2, "cmd=barrier_in", NULL);
    assert_int_equal(pmi_server_barrier_done(f.s, 0, NULL), -EINVAL);
    expect(&f, 5, "cmd=barrier_in", NULL);
    assert_int_equal(f.barriers, 1);
    assert_int_equal(json_object_size(f.exchanged), 1);
    assert_string_equal(json_string_value(json_object_get(f.exchanged, "two")), "2");
    all = json_pack("{s:s}", "zero", "0");
    assert_int_equal(pmi_server_barrier_done(f.s, 0, all), 0);
    json_decref(all);
    assert_string_equal(f.last[2], "cmd=barrier_out rc=0\n");
    assert_string_equal(f.last[5], "cmd=barrier_out rc=0\n");
    expect(&f, 5, "cmd=get kvsname=kvs key=zero", "cmd=get_result rc=0 value=0");
    expect(&f, 5, "cmd=get kvsname=kvs key=two", "cmd=get_result rc=0 value=2");
    expect(&f, 5, "cmd=barrier_in", NULL);
    expect(&f, 2, "cmd=barrier_in", NULL);
    assert_int_equal(json_object_size(f.exchanged), 0); /* each key once */
    assert_int_equal(pmi_server_barrier_done(f.s, -1, NULL), 0);
    assert_string_equal(f.last[5], "cmd=barrier_out rc=-1\n");
    unmake(&f);
}

static void test_foreign_keys_of_a_barrier_are_checked(void **state)
{
    struct fixture f;
    json_t *bad[] = { json_pack("[s]", "a"), json_pack("{s:i}", "a", 1),
                      json_pack("{s:s}", "a b", "x") };

    make(&f, (struct pmi_server_options){ .size = 1, .ops.barrier = on_barrier });
    expect(&f, 0, INIT, INIT_OK);
    expect(&f, 0, "cmd=barrier_in", NULL);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(pmi_server_barrier_done(f.s, 0, bad[i]), -EINVAL);
        json_decref(bad[i]);
    }
    assert_int_equal(pmi_server_waiting(f.s), 1);
    unmake(&f);
}

static void test_a_key_is_put_once(void **state)
{
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 1 });
    expect(&f, 0, INIT, INIT_OK);
    expect(&f, 0, "cmd=put kvsname=kvs key=a value=1", "cmd=put_result rc=0");
    expect(&f, 0, "cmd=put kvsname=kvs key=a value=2", "cmd=put_result rc=-1 msg=duplicate_key");
    expect(&f, 0, "cmd=barrier_in", "cmd=barrier_out rc=0");
    expect(&f, 0, "cmd=put kvsname=kvs key=a value=2", "cmd=put_result rc=-1 msg=duplicate_key");
    unmake(&f);
}

static void test_a_client_that_was_started_again_puts_the_same_again(void **state)
{
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 2 });
    expect(&f, 0, INIT, INIT_OK);
    expect(&f, 0, "cmd=put kvsname=kvs key=a value=1", "cmd=put_result rc=0");
    expect(&f, 0, "cmd=barrier_in", NULL);
    expect(&f, 0, INIT, INIT_OK);
    assert_int_equal(pmi_server_waiting(f.s), 0);
    expect(&f, 0, "cmd=put kvsname=kvs key=a value=1", "cmd=put_result rc=0");
    expect(&f, 0, "cmd=barrier_in", NULL);
    expect(&f, 1, INIT, INIT_OK);
    expect(&f, 1, "cmd=barrier_in", "cmd=barrier_out rc=0");
    expect(&f, 1, "cmd=get kvsname=kvs key=a", "cmd=get_result rc=0 value=1");
    unmake(&f);
}

static void test_what_cannot_be_put_is_refused_with_a_reason(void **state)
{
    struct fixture f;
    char line[PMI_LINE_MAX], value[PMI_VALUE_MAX + 1] = "";
    int n = 0;

    make(&f, (struct pmi_server_options){ .size = 1 });
    expect(&f, 0, INIT, INIT_OK);
    expect(&f, 0, "cmd=put kvsname=other key=a value=1",
           "cmd=put_result rc=-1 msg=unknown_kvsname");
    expect(&f, 0, "cmd=put kvsname=kvs value=1", "cmd=put_result rc=-1 msg=invalid_key");
    expect(&f, 0, "cmd=put kvsname=kvs key=a", "cmd=put_result rc=-1 msg=invalid_value");
    memset(value, 'v', PMI_VALUE_MAX);
    snprintf(line, sizeof(line), "cmd=put kvsname=kvs key=a value=%s", value);
    expect(&f, 0, line, "cmd=put_result rc=-1 msg=invalid_value");
    line[strlen(line) - 1] = '\0';
    expect(&f, 0, line, "cmd=put_result rc=0");
    do {
        snprintf(line, sizeof(line), "cmd=put kvsname=kvs key=k%d value=x", n);
        assert_int_equal(pmi_server_request(f.s, 0, line, NULL), 0);
    } while (strcmp(f.last[0], "cmd=put_result rc=0\n") == 0 && ++n < 100000);
    assert_string_equal(f.last[0], "cmd=put_result rc=-1 msg=too_many_keys\n");
    unmake(&f);
}

static void test_reserved_keys_that_nobody_put_are_empty(void **state)
{
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 1 });
    expect(&f, 0, INIT, INIT_OK);
    expect(&f, 0, "cmd=get kvsname=kvs key=PMI_process_mapping", "cmd=get_result rc=0 value=");
    unmake(&f);
}

static void test_what_we_do_not_offer_is_refused_cleanly(void **state)
{
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 1 });
    expect(&f, 0, INIT, INIT_OK);
    expect(&f, 0, "mcmd=spawn", NULL);
    expect(&f, 0, "nprocs=1", NULL);
    expect(&f, 0, "execname=some thing", NULL);
    expect(&f, 0, "endcmd", "cmd=spawn_result rc=-1 msg=not_supported");
    expect(&f, 0, "cmd=publish_name service=a port=b",
           "cmd=publish_result rc=-1 msg=not_supported");
    expect(&f, 0, "cmd=unpublish_name service=a", "cmd=unpublish_result rc=-1 msg=not_supported");
    expect(&f, 0, "cmd=lookup_name service=a", "cmd=lookup_result rc=-1 msg=not_supported");
    expect(&f, 0, "cmd=get_maxes", "cmd=maxes rc=0 kvsname_max=256 keylen_max=64 vallen_max=1024");
    unmake(&f);
}

static void test_breaches_of_the_protocol_are_errors(void **state)
{
    char line[PMI_LINE_MAX + 8];
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 2 });
    expect_error(&f, 0, "cmd=barrier_in", -EPROTO);
    expect_error(&f, 0, "mcmd=spawn", -EPROTO);
    expect_error(&f, 0, "cmd=init", -EPROTO);
    expect_error(&f, 2, INIT, -ENOENT);
    expect(&f, 0, INIT, INIT_OK);
    expect_error(&f, 0, "", -EPROTO);
    expect_error(&f, 0, "cmd=nonsense", -EPROTO);
    expect_error(&f, 0, "words without sense", -EPROTO);
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    expect_error(&f, 0, line, -EMSGSIZE);
    expect(&f, 0, "cmd=barrier_in", NULL);
    expect_error(&f, 0, "cmd=barrier_in", -EPROTO);
    unmake(&f);
}

static void test_an_abort_is_passed_on(void **state)
{
    struct fixture f;

    make(&f, (struct pmi_server_options){ .size = 2 });
    expect(&f, 1, INIT, INIT_OK);
    expect(&f, 1, "cmd=abort exitcode=42", "");
    assert_int_equal(f.aborted, 1);
    assert_int_equal(f.exit_code, 42);
    unmake(&f);
}

static void test_options_that_make_no_sense_are_refused(void **state)
{
    const uint32_t twice[] = { 1, 1 }, beyond[] = { 2 };
    const struct pmi_server_options bad[] = {
        { .size = 0, .kvsname = "k" },
        { .size = 2, .kvsname = "" },
        { .size = 2, .kvsname = "a b" },
        { .size = 2, .kvsname = "k", .mapping = "(vector, (0,1,2))" },
        { .size = 2, .kvsname = "k", .ranks = twice, .nranks = 2 },
        { .size = 2, .kvsname = "k", .ranks = beyond, .nranks = 1 },
        { .size = 2, .kvsname = "k", .ranks = beyond, .nranks = 0 },
    };
    struct pmi_server *s = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(pmi_server_new(&bad[i], &s), -EINVAL);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_learns_limits_name_and_size),
        cmocka_unit_test(test_versions_from_1_on_are_answered_with_1_1),
        cmocka_unit_test(test_keys_can_be_read_after_the_barrier_and_not_before),
        cmocka_unit_test(test_a_barrier_of_several_servers_exchanges_keys_and_ends_when_told),
        cmocka_unit_test(test_foreign_keys_of_a_barrier_are_checked),
        cmocka_unit_test(test_a_key_is_put_once),
        cmocka_unit_test(test_a_client_that_was_started_again_puts_the_same_again),
        cmocka_unit_test(test_what_cannot_be_put_is_refused_with_a_reason),
        cmocka_unit_test(test_reserved_keys_that_nobody_put_are_empty),
        cmocka_unit_test(test_what_we_do_not_offer_is_refused_cleanly),
        cmocka_unit_test(test_breaches_of_the_protocol_are_errors),
        cmocka_unit_test(test_an_abort_is_passed_on),
        cmocka_unit_test(test_options_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
