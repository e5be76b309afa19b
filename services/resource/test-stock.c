/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "resource/stock.h"

DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct stock *, stock_deinit)

static int init(struct stock *s, const char *config, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(config, 0, NULL);

    assert_non_null(o);
    return stock_init(s, o, error);
}

static const char four_nodes[] =
    "{\"resource\":{\"config\":[{\"hosts\":\"n[0-3]\",\"cores\":\"0-3\",\"gpus\":\"0-1\"}],"
    "\"exclude\":\"n3\"}}";

static void set_online(struct stock *s, const char *online, const char *came, const char *gone)
{
    CLEANUP(idset_destroyp) struct idset *now = idset_decode(online);
    CLEANUP(idset_destroyp) struct idset *in = NULL;
    CLEANUP(idset_destroyp) struct idset *out = NULL;
    CLEANUP(freep) char *sin = NULL;
    CLEANUP(freep) char *sout = NULL;

    assert_int_equal(stock_set_online(s, now, &in, &out), 0);
    sin = idset_encode(in, IDSET_FLAG_RANGE);
    sout = idset_encode(out, IDSET_FLAG_RANGE);
    assert_string_equal(sin, came);
    assert_string_equal(sout, gone);
}

static int answer(struct stock *s, uint32_t rank, const char *cores, const char *gpus,
                  flux_error_t *error)
{
    CLEANUP(idset_destroyp) struct idset *c = idset_decode(cores);
    CLEANUP(idset_destroyp) struct idset *g = idset_decode(gpus);
    char host[16];

    (void)snprintf(host, sizeof(host), "n%u", rank);
    return stock_answer(
        s, &(struct census_answer){ .rank = rank, .hostname = host, .cores = c, .gpus = g }, error);
}

static void assert_up(const struct stock *s, const char *expect)
{
    CLEANUP(idset_destroyp) struct idset *up = stock_up(s);
    CLEANUP(freep) char *text = idset_encode(up, IDSET_FLAG_RANGE);

    assert_string_equal(text, expect);
}

static void a_rank_is_up_when_it_has_come_and_has_what_is_configured(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };
    flux_error_t error = { .text = "" };

    assert_int_equal(init(s, four_nodes, &error), 0);
    assert_up(s, "");
    set_online(s, "0-1,3", "0-1,3", "");
    assert_up(s, "");
    assert_int_equal(answer(s, 0, "0-3", "0-1", &error), STOCK_GOOD);
    assert_int_equal(answer(s, 1, "0-7", "0-3", &error), STOCK_GOOD);
    assert_int_equal(answer(s, 3, "0-3", "0-1", &error), STOCK_GOOD);
    assert_up(s, "0-1");
    set_online(s, "1-3", "2", "0");
    assert_up(s, "1");
    set_online(s, "0-3", "0", "");
    assert_up(s, "1");
}

static void what_is_missing_is_named(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };
    flux_error_t error = { .text = "" };

    assert_int_equal(init(s, four_nodes, &error), 0);
    set_online(s, "0-3", "0-3", "");
    assert_int_equal(answer(s, 2, "0-1", "0-1", &error), STOCK_LACKS);
    assert_string_equal(error.text, "rank 2 (n2): cores 2-3 configured, not found");
    assert_int_equal(answer(s, 1, "0-2", "", &error), STOCK_LACKS);
    assert_string_equal(error.text, "rank 1 (n1): core 3 and gpus 0-1 configured, not found");
    assert_up(s, "");
    assert_int_equal(stock_check(s, 2), 0);
    assert_up(s, "2");
}

static void noverify_takes_the_configuration_at_its_word(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };

    assert_int_equal(init(s,
                          "{\"resource\":{\"config\":[{\"hosts\":\"n[0-3]\",\"cores\":\"0-3\"}],"
                          "\"noverify\":true}}",
                          NULL),
                     0);
    set_online(s, "0-3", "0-3", "");
    assert_int_equal(answer(s, 2, "0", "", NULL), STOCK_GOOD);
    assert_up(s, "2");
}

static void without_configuration_the_inventory_grows_with_the_ranks(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };
    flux_error_t error = { .text = "" };

    assert_int_equal(init(s, "{\"resource\":{\"exclude\":\"n1\"}}", &error), 0);
    set_online(s, "0-2", "0-2", "");
    assert_int_equal(answer(s, 1, "0-3", "", &error), STOCK_GREW);
    assert_int_equal(answer(s, 0, "0-3", "0", &error), STOCK_GREW);
    assert_int_equal(rset_nnodes(s->all), 2);
    assert_int_equal(rset_count(s->all, "core"), 8);
    assert_up(s, "0");
    set_online(s, "1-2", "", "0");
    set_online(s, "0-2", "0", "");
    assert_int_equal(answer(s, 0, "0-3", "", &error), STOCK_LACKS);
    assert_string_equal(error.text, "rank 0 (n0): gpu 0 there before, not found");
}

static void a_node_that_cannot_answer_is_used_if_it_is_configured(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };
    CLEANUP(stock_deinitp) struct stock *empty = &(struct stock){ 0 };
    const struct census_answer silence = { .rank = 2 };

    assert_int_equal(init(s, four_nodes, NULL), 0);
    set_online(s, "2", "2", "");
    assert_int_equal(stock_answer(s, &silence, NULL), STOCK_GOOD);
    assert_up(s, "2");
    assert_int_equal(init(empty, "{}", NULL), 0);
    set_online(empty, "2", "2", "");
    assert_int_equal(stock_answer(empty, &silence, NULL), STOCK_GOOD);
    assert_up(empty, "");
}

static void every_rank_is_up_if_that_is_configured(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };

    assert_int_equal(init(s,
                          "{\"resource\":{\"config\":[{\"hosts\":\"n[0-999]\",\"cores\":\"0-3\"}],"
                          "\"monitor-force-up\":true}}",
                          NULL),
                     0);
    assert_up(s, "0-999");
    set_online(s, "0", "", "");
    assert_up(s, "0-999");
}

static void what_is_not_a_switch_is_refused(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };
    flux_error_t error = { .text = "" };

    assert_int_equal(init(s, "{\"resource\":{\"noverify\":1}}", &error), -EINVAL);
    assert_string_equal(error.text, "resource.noverify: must be true or false");
}

static void assert_cores(const struct stock *s, uint32_t rank, const char *expect)
{
    CLEANUP(freep) char *text = idset_encode(rset_find(s->all, rank)->cores, IDSET_FLAG_RANGE);

    assert_string_equal(text, expect);
}

/* Two nodes of two cores each, and one that has another name now. */
static void remember(struct stock *s, const char *hosts)
{
    CLEANUP(json_decrefp)
    json_t *o = json_pack("{s:i s:{s:[{s:s s:{s:s}}] s:[s] s:f s:f}}", "version", 1, "execution",
                          "R_lite", "rank", "0-2", "children", "core", "0-1", "nodelist", hosts,
                          "starttime", 0., "expiration", 0.);
    const char *names[] = { "n0", "n1", "n2" };
    struct rset *r;

    assert_int_equal(rset_decode(o, &r, NULL), 0);
    assert_int_equal(
        stock_remember(s, r, &(struct drain_hosts){ .names = names, .count = ARRAY_SIZE(names) }),
        0);
    rset_free(r);
}

static void what_was_there_before_counts_for_ranks_that_do_not_come(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };
    flux_error_t error = { .text = "" };

    assert_int_equal(init(s, "{\"resource\":{\"exclude\":\"n1\"}}", &error), 0);
    remember(s, "n[0-2]");
    set_online(s, "0,2", "0,2", "");
    assert_false(stock_is_complete(s, 3));
    assert_int_equal(answer(s, 0, "0-7", "", &error), STOCK_GREW);
    assert_false(stock_is_complete(s, 3));
    assert_int_equal(answer(s, 2, "0", "", &error), STOCK_GREW); /* it has what it says now */
    assert_true(stock_is_complete(s, 3));
    assert_int_equal(stock_settle(s, &error), 0);
    assert_cores(s, 0, "0-7");
    assert_cores(s, 1, "0-1");
    assert_cores(s, 2, "0");
    assert_true(idset_test(s->excluded, 1));
    assert_up(s, "0,2");
    set_online(s, "0-2", "1", "");
    assert_int_equal(answer(s, 1, "0", "", &error), STOCK_LACKS);
    assert_string_equal(error.text, "rank 1 (n1): core 1 there before, not found");
}

static void what_was_there_before_is_forgotten_of_other_hosts(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };
    CLEANUP(stock_deinitp) struct stock *configured = &(struct stock){ 0 };

    assert_int_equal(init(s, "{}", NULL), 0);
    remember(s, "n0,m1,n2");
    assert_false(stock_is_complete(s, 3));
    assert_int_equal(stock_settle(s, NULL), 0);
    assert_int_equal(rset_nnodes(s->all), 2);
    assert_null(rset_find(s->all, 1));
    assert_int_equal(init(configured, four_nodes, NULL), 0);
    remember(configured, "n[0-2]");
    assert_int_equal(stock_settle(configured, NULL), 0);
    assert_cores(configured, 0, "0-3");
}

static void set_given(struct stock *s, const char *ranks, uint32_t size)
{
    CLEANUP(json_decrefp)
    json_t *o =
        json_pack("{s:i s:{s:[{s:s s:{s:s}}] s:f s:f}}", "version", 1, "execution", "R_lite",
                  "rank", ranks, "children", "core", "4-5", "starttime", 1., "expiration", 9.);
    struct rset *r;

    assert_int_equal(rset_decode(o, &r, NULL), 0);
    assert_int_equal(stock_set_given(s, r, size), 0);
    rset_free(r);
}

static void in_a_job_ranks_have_what_it_was_given(void **state)
{
    CLEANUP(stock_deinitp) struct stock *s = &(struct stock){ 0 };
    CLEANUP(stock_deinitp) struct stock *other = &(struct stock){ 0 };

    assert_int_equal(init(s, "{}", NULL), 0);
    set_given(s, "5-8", 4);
    set_online(s, "0-3", "0-3", "");
    assert_int_equal(answer(s, 0, "0-1", "", NULL), STOCK_GREW); /* bound to them */
    assert_int_equal(answer(s, 1, "0-7", "0", NULL), STOCK_GREW);
    assert_int_equal(answer(s, 2, "0-2", "", NULL), STOCK_GREW);
    assert_int_equal(answer(s, 3, "0", "", NULL), STOCK_GREW);
    assert_cores(s, 0, "0-1");
    assert_cores(s, 1, "4-5");
    assert_cores(s, 2, "0-1");
    assert_cores(s, 3, "4-5"); /* it was told so */
    assert_int_equal(rset_count(s->all, "gpu"), 0);
    assert_true(rset_expiration(s->all) == 9.);
    assert_int_equal(init(other, "{}", NULL), 0);
    set_given(other, "5-8", 2); /* not a node for each */
    set_online(other, "0-1", "0-1", "");
    assert_int_equal(answer(other, 0, "0-7", "", NULL), STOCK_GREW);
    assert_cores(other, 0, "0-7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_is_up_when_it_has_come_and_has_what_is_configured),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(noverify_takes_the_configuration_at_its_word),
        cmocka_unit_test(without_configuration_the_inventory_grows_with_the_ranks),
        cmocka_unit_test(a_node_that_cannot_answer_is_used_if_it_is_configured),
        cmocka_unit_test(every_rank_is_up_if_that_is_configured),
        cmocka_unit_test(what_was_there_before_counts_for_ranks_that_do_not_come),
        cmocka_unit_test(what_was_there_before_is_forgotten_of_other_hosts),
        cmocka_unit_test(in_a_job_ranks_have_what_it_was_given),
        cmocka_unit_test(what_is_not_a_switch_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
