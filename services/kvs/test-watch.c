/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/fake-client.h"

static void assert_said(struct watching *w, const char *expected)
{
    assert_string_equal(watching_said(w), expected);
    watching_free(w);
}

static void test_watch_answers_first_with_what_is_there(void **state)
{
    assert_int_equal(fake_put(*state, "primary", "a.b", "1"), 0);
    assert_said(fake_watch(*state, "primary", FLUX_KVS_WATCH, "a.b"), "1|");
}

static void test_watch_of_a_missing_key_ends(void **state)
{
    assert_said(fake_watch(*state, "primary", FLUX_KVS_WATCH, "a.b"), "!ENOENT");
    assert_said(fake_watch(*state, "nowhere", FLUX_KVS_WATCH, "a.b"), "!ENOTSUP");
}

static void test_watch_tells_every_mention_and_nothing_else(void **state)
{
    struct watching *w;

    fake_put(*state, "primary", "a.b", "1");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH, "a.b");
    fake_put(*state, "primary", "a.c", "x");
    fake_put(*state, "primary", "a.b", "2");
    fake_put(*state, "primary", "a.b", "2");
    fake_put(*state, "primary", ".a..b.", "3");
    assert_said(w, "1|2|2|3|");
}

static void test_watch_ends_when_the_key_is_removed(void **state)
{
    struct watching *w, *v;

    fake_put(*state, "primary", "a.b", "1");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH, "a.b");
    fake_unlink(*state, "primary", "a.b");
    assert_said(w, "1|!ENOENT");
    fake_put(*state, "primary", "a.b", "1");
    v = fake_watch(*state, "primary", FLUX_KVS_WATCH, "a.b");
    fake_unlink(*state, "primary", "a");
    assert_said(v, "1|!ENOENT");
}

static void test_uniq_tells_changes_only(void **state)
{
    struct watching *w;

    fake_put(*state, "primary", "a", "1");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_UNIQ, "a");
    fake_put(*state, "primary", "a", "1");
    fake_put(*state, "primary", "a", "2");
    fake_put(*state, "primary", "a", "2");
    fake_put(*state, "primary", "a", "1");
    assert_said(w, "1|2|1|");
}

static void test_full_tells_changes_that_do_not_name_the_key(void **state)
{
    struct watching *w, *plain;

    fake_put(*state, "primary", "a.b", "1");
    fake_put(*state, "primary", "other.b", "2");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_FULL, "a.b");
    plain = fake_watch(*state, "primary", FLUX_KVS_WATCH, "a.b");
    fake_commit(*state, "primary",
                "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'dir','data':{'b':"
                "{'ver':1,'type':'val','data':'Mg=='}}}}]");
    assert_said(w, "1|2|");
    assert_said(plain, "1|");
}

static void test_full_sees_through_links(void **state)
{
    struct watching *w;

    fake_put(*state, "primary", "target", "1");
    fake_commit(*state, "primary",
                "[{'key':'l','flags':0,'dirent':{'ver':1,'type':'symlink',"
                "'data':{'target':'target'}}}]");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_FULL, "l");
    fake_put(*state, "primary", "target", "2");
    assert_said(w, "1|2|");
}

static void test_waitcreate_waits_then_answers_once(void **state)
{
    struct watching *w = fake_watch(*state, "primary", FLUX_KVS_WAITCREATE, "a.b.c");

    fake_put(*state, "primary", "a.x", "1");
    assert_string_equal(watching_said(w), "");
    fake_put(*state, "primary", "a.b.c", "2");
    fake_put(*state, "primary", "a.b.c", "3");
    assert_said(w, "2|!ENODATA");
}

static void test_waitcreate_notices_creation_by_a_parent(void **state)
{
    struct watching *w = fake_watch(*state, "primary", FLUX_KVS_WAITCREATE | FLUX_KVS_WATCH, "a.b");

    fake_commit(*state, "primary",
                "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'dir','data':{'b':"
                "{'ver':1,'type':'val','data':'Mg=='}}}}]");
    fake_put(*state, "primary", "a.b", "3");
    assert_said(w, "2|3|");
}

static void test_waitcreate_notices_a_directory_that_a_key_below_makes(void **state)
{
    struct watching *w =
        fake_watch(*state, "primary", FLUX_KVS_WAITCREATE | FLUX_KVS_READDIR, "d.e");
    const char *said;

    fake_put(*state, "primary", "d.other", "1");
    assert_string_equal(watching_said(w), "");
    fake_put(*state, "primary", "d.e.f", "1");
    said = watching_said(w);
    assert_non_null(strstr(said, "\"f\""));
    assert_non_null(strstr(said, "!ENODATA"));
    watching_free(w);
}

/* How many looks a commit costs: the looks of the others are what it must not cost. */
static void test_a_commit_costs_only_the_watches_of_its_keys_also_those_of_directories(void **state)
{
    enum { N = 100 };
    struct kvs *k = fake_kvs(*state);
    struct watching *w[N];
    uint64_t hits;
    char key[32];

    for (int i = 0; i < N; i++) {
        (void)snprintf(key, sizeof(key), "job.%d", i);
        fake_put(*state, "primary", key, "1");
        w[i] = fake_watch(*state, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_FULL, key);
    }
    hits = watch_looks(k);
    fake_put(*state, "primary", "job.7", "2");
    assert_int_equal(watch_looks(k) - hits, 1);
    fake_put(*state, "primary", "elsewhere", "2");
    assert_int_equal(watch_looks(k) - hits, 1);
    fake_unlink(*state, "primary", "job");
    assert_int_equal(watch_looks(k) - hits, 1 + N);
    for (int i = 0; i < N; i++)
        assert_said(w[i], i == 7 ? "1|2|!ENOENT" : "1|!ENOENT");
}

static void test_append_tells_exactly_what_was_appended(void **state)
{
    struct watching *w;

    fake_append(*state, "primary", "log", "one\n");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND, "log");
    fake_append(*state, "primary", "log", "two\n");
    fake_append(*state, "primary", "log", "");
    fake_append(*state, "primary", "log", "three\n");
    assert_said(w, "one\n|two\n|three\n|");
}

static void test_append_ends_when_the_value_becomes_shorter(void **state)
{
    struct watching *w;

    fake_append(*state, "primary", "log", "one\n");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND, "log");
    fake_put(*state, "primary", "log", "1");
    assert_said(w, "one\n|!EINVAL");
}

static void append_many(struct fake *f, int n, struct strbuf *all)
{
    char line[64];

    for (int i = 0; i < n; i++) {
        snprintf(line, sizeof(line), "%d: a line that is not so short %x\n", i, i * 7919);
        assert_int_equal(fake_append(f, "primary", "log", line), 0);
        strbuf_puts(all, line);
    }
}

/* What a watch said without the separators. */
static char *joined(struct watching *w)
{
    char *copy = strdup(watching_said(w));
    char *to = copy;

    for (char *p = copy; *p; p++) {
        if (*p != '|')
            *to++ = *p;
    }
    *to = '\0';
    return copy;
}

static void test_append_has_no_gaps_over_compaction_and_a_tiny_cache(void **state)
{
    struct fake *f = fake_new(2000);
    struct strbuf all = { 0 };
    struct watching *w;
    char *said, *value;
    int err;

    append_many(f, 1, &all);
    w = fake_watch(f, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND, "log");
    append_many(f, 500, &all);
    said = joined(w);
    value = fake_lookup(f, "primary", 0, "log", &err);
    assert_int_equal(err, 0);
    assert_string_equal(value, strbuf_text(&all));
    assert_string_equal(said, value);
    free(said);
    free(value);
    watching_free(w);
    strbuf_deinit(&all);
    fake_free(f);
}

static void test_append_survives_a_restart_of_the_store(void **state)
{
    struct fake *f = *state;
    struct strbuf all = { 0 };
    struct watching *w;
    char *said;

    append_many(f, 40, &all);
    fake_restart(f); /* sizes of blobs are not known any more */
    w = fake_watch(f, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND, "log");
    append_many(f, 100, &all);
    said = joined(w);
    assert_string_equal(said, strbuf_text(&all));
    free(said);
    watching_free(w);
    strbuf_deinit(&all);
}

/* The store starts again, and the watch with what it had got. */
static struct watching *go_on(struct fake *f, struct watching *w, int flags, const char *key)
{
    struct watch_progress progress;

    watch_get_progress(w->watch, &progress);
    watching_free(w);
    fake_restart(f);
    return fake_watch_on(f, "primary", flags, key, &progress);
}

static void test_a_watch_goes_on_in_the_next_process_without_repetition(void **state)
{
    const int flags[] = { FLUX_KVS_WATCH, FLUX_KVS_WATCH | FLUX_KVS_WATCH_UNIQ,
                          FLUX_KVS_WATCH | FLUX_KVS_WATCH_FULL,
                          FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        const bool append = flags[i] & FLUX_KVS_WATCH_APPEND;
        struct watching *w;

        fake_put(*state, "primary", "a.b", "1");
        w = fake_watch(*state, "primary", flags[i], "a.b");
        assert_string_equal(watching_said(w), "1|");
        w = go_on(*state, w, flags[i], "a.b");
        assert_string_equal(watching_said(w), "");
        fake_put(*state, "primary", "a.b", append ? "12" : "2");
        assert_said(w, "2|");
    }
}

static void test_what_changed_between_two_processes_is_told(void **state)
{
    struct watch_progress progress;
    struct watching *w;

    fake_put(*state, "primary", "a", "1");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH, "a");
    watch_get_progress(w->watch, &progress);
    watching_free(w);
    fake_put(*state, "primary", "a", "2");
    fake_restart(*state);
    assert_said(fake_watch_on(*state, "primary", FLUX_KVS_WATCH, "a", &progress), "2|");
}

static void test_commits_that_were_merged_are_told_once_and_others_each(void **state)
{
    static const char *const put = "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'val',"
                                   "'data':'%s'}}]";
    struct fake *f = *state;
    struct watching *w;
    struct result *r[4];
    char ops[200];

    fake_put(f, "primary", "a", "0");
    w = fake_watch(f, "primary", FLUX_KVS_WATCH, "a");
    for (int i = 0; i < 4; i++) {
        snprintf(ops, sizeof(ops), put, (const char *[]){ "MQ==", "Mg==", "Mw==", "NA==" }[i]);
        r[i] = fake_begin(f, "primary", i == 2 ? FLUX_KVS_NO_MERGE : 0, ops);
    }
    fake_run(f);
    assert_int_equal(r[0]->seq, r[1]->seq);
    assert_int_equal(r[2]->seq, r[1]->seq + 1);
    assert_int_equal(r[3]->seq, r[2]->seq + 1);
    for (int i = 0; i < 4; i++)
        free(r[i]);
    assert_said(w, "0|2|3|4|");
}

static void test_removal_of_the_namespace_ends_with_enotsup(void **state)
{
    struct watching *w;

    fake_create(*state, "job", 7);
    fake_put(*state, "job", "a", "1");
    w = fake_watch(*state, "job", FLUX_KVS_WATCH, "a");
    fake_remove(*state, "job");
    assert_said(w, "1|!ENOTSUP");
}

static void test_what_was_appended_last_is_told_before_the_end(void **state)
{
    struct fake *f = *state;
    struct watching *w;
    struct result *r[3];

    fake_create(f, "job", 7);
    fake_append(f, "job", "log", "one\n");
    w = fake_watch(f, "job", FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND, "log");
    r[0] =
        fake_begin(f, "job", 0,
                   "[{'key':'log','flags':32,'dirent':{'ver':1,'type':'val','data':'dHdvCg=='}}]");
    r[1] = fake_begin(f, "primary", 0, "[{'key':'done.guest','flags':0,'archive':'job'}]");
    r[2] = fake_begin(f, "job", 0, "[]");
    fake_run(f);
    assert_int_equal(r[0]->err, 0);
    assert_int_equal(r[1]->err, 0);
    assert_int_equal(r[2]->err, -ENOTSUP);
    for (int i = 0; i < 3; i++)
        free(r[i]);
    assert_said(w, "one\n|two\n|!ENOTSUP");
}

static void test_a_watch_through_a_link_follows_the_archive_without_a_gap(void **state)
{
    struct fake *f = *state;
    struct watching *w;
    struct result *r[2];

    fake_create(f, "job", 7);
    fake_commit(f, "primary",
                "[{'key':'j.guest','flags':0,'dirent':{'ver':1,'type':'symlink',"
                "'data':{'namespace':'job','target':'.'}}}]");
    w = fake_watch(f, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND | FLUX_KVS_WAITCREATE,
                   "j.guest.log");
    fake_append(f, "job", "log", "one\n");
    r[0] =
        fake_begin(f, "job", 0,
                   "[{'key':'log','flags':32,'dirent':{'ver':1,'type':'val','data':'dHdvCg=='}}]");
    r[1] = fake_begin(f, "primary", 0, "[{'key':'j.guest','flags':0,'archive':'job'}]");
    fake_run(f);
    assert_int_equal(r[1]->err, 0);
    free(r[0]);
    free(r[1]);
    fake_append(f, "primary", "j.guest.log", "three\n");
    assert_said(w, "one\n|two\n|three\n|");
}

static void test_readdir_watch_tells_names(void **state)
{
    struct watching *w;

    fake_put(*state, "primary", "d.a", "");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_FULL | FLUX_KVS_READDIR, "d");
    fake_put(*state, "primary", "d.b", "");
    assert_non_null(strstr(watching_said(w), "|{\"ver\":1,\"type\":\"dir\",\"data\":{\"a\":"));
    assert_non_null(strstr(watching_said(w), "\"b\":"));
    watching_free(w);
}

static void test_nothing_is_told_after_cancel(void **state)
{
    struct watching *w;

    fake_put(*state, "primary", "a", "1");
    w = fake_watch(*state, "primary", FLUX_KVS_WATCH, "a");
    watch_cancel(w->watch);
    w->ended = true;
    fake_put(*state, "primary", "a", "2");
    assert_int_equal(watch_count(fake_kvs(*state)), 0);
    assert_said(w, "1|");
}

static void test_a_slow_load_delays_but_loses_nothing(void **state)
{
    struct fake *f = *state;
    struct watching *w, *other;

    fake_put(f, "primary", "d.a", "1");
    fake_restart(f);
    fake_hold(f, true);
    w = fake_watch(f, "primary", FLUX_KVS_WATCH, "d.a"); /* waits for its directory */
    other = fake_watch(f, "primary", FLUX_KVS_WATCH, "d.a");
    assert_string_equal(watching_said(w), "");
    fake_hold(f, false);
    fake_put(f, "primary", "d.a", "2");
    fake_put(f, "primary", "d.a", "3");
    assert_said(w, "1|2|3|");
    assert_said(other, "1|2|3|");
}

static void test_wrong_flags_are_refused(void **state)
{
    assert_said(fake_watch(*state, "primary", 0, "a"), "!EINVAL");
    assert_said(fake_watch(*state, "primary", FLUX_KVS_WATCH_UNIQ, "a"), "!EINVAL");
    assert_said(fake_watch(*state, "primary",
                           FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND | FLUX_KVS_READDIR, "a"),
                "!EINVAL");
    assert_said(fake_watch(*state, "primary", FLUX_KVS_WATCH | 4096, "a"), "!EINVAL");
    assert_said(fake_watch(*state, "primary", FLUX_KVS_WATCH, ""), "!EINVAL");
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_watch_answers_first_with_what_is_there),
        T(test_watch_of_a_missing_key_ends),
        T(test_a_watch_goes_on_in_the_next_process_without_repetition),
        T(test_what_changed_between_two_processes_is_told),
        T(test_watch_tells_every_mention_and_nothing_else),
        T(test_watch_ends_when_the_key_is_removed),
        T(test_uniq_tells_changes_only),
        T(test_full_tells_changes_that_do_not_name_the_key),
        T(test_full_sees_through_links),
        T(test_waitcreate_waits_then_answers_once),
        T(test_waitcreate_notices_creation_by_a_parent),
        T(test_waitcreate_notices_a_directory_that_a_key_below_makes),
        T(test_a_commit_costs_only_the_watches_of_its_keys_also_those_of_directories),
        T(test_append_tells_exactly_what_was_appended),
        T(test_append_ends_when_the_value_becomes_shorter),
        T(test_append_has_no_gaps_over_compaction_and_a_tiny_cache),
        T(test_append_survives_a_restart_of_the_store),
        T(test_commits_that_were_merged_are_told_once_and_others_each),
        T(test_removal_of_the_namespace_ends_with_enotsup),
        T(test_what_was_appended_last_is_told_before_the_end),
        T(test_a_watch_through_a_link_follows_the_archive_without_a_gap),
        T(test_readdir_watch_tells_names),
        T(test_nothing_is_told_after_cancel),
        T(test_a_slow_load_delays_but_loses_nothing),
        T(test_wrong_flags_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
