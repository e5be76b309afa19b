/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* JSON of a peer, eventlogs, signed requests, TOML. */
#include "base/testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/eventlog.h"
#include "base/jsonx.h"
#include "base/sign_none.h"
#include "base/toml.h"

static json_t *decode(const char *s)
{
    return jsonx_decode_object(s, strlen(s), NULL);
}

static void only_well_formed_objects_are_decoded(void **state)
{
    json_t *o = decode("{\"a\":[1,{\"b\":null}]}");

    assert_non_null(o);
    json_decref(o);
    for (const char *const *s =
             (const char *const[]){ "", "1", "[]", "\"a\"", "{", "{}x", "{\"a\":1,\"a\":2}",
                                    "{\"a\":\"\\u0000\"}", "{\"a\":NaN}", "{\"a\":1e999}",
                                    "{\"a\":\"\xff\"}", "{'a':1}", NULL };
         *s; s++) {
        errno = 0;
        if (decode(*s))
            fail_msg("'%s' was accepted", *s);
        assert_int_equal(errno, EPROTO);
    }
    assert_null(jsonx_decode_object("{}\0", 3, NULL));
}

static void nesting_is_bounded(void **state)
{
    char text[20000] = "{\"a\":";
    flux_error_t e;

    for (int i = 0; i < 9000; i++)
        strcat(text, "[");
    assert_null(jsonx_decode_object(text, strlen(text), &e));
    assert_non_null(strstr(e.text, "deep"));
}

static void brackets_inside_strings_are_not_nesting(void **state)
{
    char text[300] = "{\"a\":\"\\\"";
    json_t *o;

    memset(text + strlen(text), '[', 100);
    strcat(text, "\"}");
    assert_non_null(o = decode(text));
    json_decref(o);
}

static int shape(const char *json, const char *s, flux_error_t *e)
{
    json_t *o = decode(json);
    int rc = jsonx_check_shape(o, s, e);

    json_decref(o);
    return rc;
}

static void shapes_name_the_key_and_what_was_expected(void **state)
{
    flux_error_t e;

    assert_int_equal(shape("{\"id\":5,\"s\":\"x\",\"more\":1}", "id:I s:s o?:o", &e), 0);
    assert_int_equal(shape("{}", "id:I", &e), -EPROTO);
    assert_string_equal(e.text, "id: missing, must be an integer");
    assert_int_equal(shape("{\"id\":\"5\"}", "id:I", &e), -EPROTO);
    assert_string_equal(e.text, "id: must be an integer, not a string");
    assert_int_equal(shape("{\"n\":4294967296}", "n:u", &e), -EPROTO);
    assert_int_equal(shape("{\"n\":-1}", "n:u", &e), -EPROTO);
    assert_int_equal(shape("{\"n\":4294967295}", "n:u", &e), 0);
    assert_int_equal(shape("{\"n\":2147483648}", "n:i", &e), -EPROTO);
    assert_int_equal(shape("{\"n\":1.5}", "n:n", &e), 0);
    assert_int_equal(shape("{\"n\":1.5}", "n:i", &e), -EPROTO);
    assert_int_equal(shape("{\"a\":[],\"o\":{},\"b\":true,\"x\":null}", "a:a o:o b:b x:*", &e), 0);
    assert_int_equal(shape("{\"a\":{}}", "a?:a", &e), -EPROTO);
    assert_int_equal(jsonx_check_shape(NULL, "", &e), -EPROTO);
}

static void eventlog_entries_round_trip(void **state)
{
    json_t *entry = eventlog_entry_pack(1552593348.073045, "submit", "{s:i}", "urgency", 16);
    char *line = eventlog_entry_encode(entry);
    json_t *back = eventlog_entry_decode(line, strlen(line), NULL);
    double timestamp;
    const char *name;
    json_t *context;

    assert_string_equal(
        line,
        "{\"timestamp\":1552593348.073045,\"name\":\"submit\",\"context\":{\"urgency\":16}}\n");
    assert_int_equal(eventlog_entry_parse(back, &timestamp, &name, &context), 0);
    assert_string_equal(name, "submit");
    assert_true(timestamp == 1552593348.073045);
    assert_true(json_equal(back, entry));
    json_decref(entry);
    json_decref(back);
    free(line);
}

static void eventlog_is_split_into_lines(void **state)
{
    static const char text[] = "{\"timestamp\":1,\"name\":\"a\"}\n{\"timestamp\":2,\"name\":\"b\"}";
    json_t *entries = eventlog_decode(text, strlen(text), NULL);

    assert_int_equal(json_array_size(entries), 2);
    assert_ptr_equal(eventlog_find(entries, "b"), json_array_get(entries, 1));
    assert_null(eventlog_find(entries, "c"));
    json_decref(entries);
    entries = eventlog_decode("", 0, NULL);
    assert_int_equal(json_array_size(entries), 0);
    json_decref(entries);
}

static void malformed_eventlogs_are_refused(void **state)
{
    for (const char *const *s =
             (const char *const[]){
                 "\n", "{\"timestamp\":1}", "{\"name\":\"a\"}", "{\"timestamp\":0,\"name\":\"a\"}",
                 "{\"timestamp\":1,\"name\":\"\"}",
                 "{\"timestamp\":1,\"name\":\"a\",\"context\":[]}",
                 "{\"timestamp\":\"1\",\"name\":\"a\"}", "{\"timestamp\":1,\n\"name\":\"a\"}",
                 "{\"timestamp\":1,\"name\":\"a\"}\n\n", NULL };
         *s; s++) {
        flux_error_t e = { "" };

        if (eventlog_decode(*s, strlen(*s), &e))
            fail_msg("'%s' was accepted", *s);
        assert_true(e.text[0]);
    }
}

static void signed_requests_round_trip(void **state)
{
    char *j = sign_none_wrap("payload", 7, 4294967294u);
    char *payload;
    size_t size;
    uint32_t userid;

    assert_int_equal(sign_none_unwrap(j, strlen(j), &payload, &size, &userid, NULL), 0);
    assert_string_equal(payload, "payload");
    assert_int_equal(size, 7);
    assert_true(userid == 4294967294u);
    free(payload);
    free(j);
}

static void check_j(const char *header, size_t header_size, const char *rest, const char *word)
{
    char *h = base64_encode(header, header_size, NULL);
    char j[512];
    char *payload;
    size_t size;
    uint32_t userid;
    flux_error_t e;

    snprintf(j, sizeof(j), "%s%s", h, rest);
    assert_int_equal(sign_none_unwrap(j, strlen(j), &payload, &size, &userid, &e), -EINVAL);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not contain '%s'", e.text, word);
    free(h);
}
#define HEADER(s) s, sizeof(s)

static void forged_signed_requests_are_refused(void **state)
{
    static const char good[] = "version\0i1\0mechanism\0snone\0userid\0i5";

    check_j(HEADER(good), "", "form");
    check_j(HEADER(good), ".AA==", "end in");
    check_j(HEADER(good), ".AA==.none.", "end in");
    check_j(HEADER(good), ".AA==.munge", "end in");
    check_j(HEADER(good), ".AA=.none", "base64");
    check_j(HEADER(good), ".AA==.AA==.none", "base64");
    check_j(good, sizeof(good) - 1, ".AA==.none", "malformed");
    check_j(HEADER("version\0i2\0mechanism\0snone\0userid\0i5"), ".AA==.none", "version");
    check_j(HEADER("version\0i1\0mechanism\0smunge\0userid\0i5"), ".AA==.none", "munge");
    check_j(HEADER("version\0i1\0mechanism\0snone\0userid\0i-1"), ".AA==.none", "userid");
    check_j(HEADER("version\0i1\0mechanism\0snone\0userid\0s5"), ".AA==.none", "userid");
    check_j(HEADER("version\0i1\0mechanism\0snone"), ".AA==.none", "malformed");
    check_j(HEADER("version\0i1\0mechanism\0snone\0userid\0i5\0userid\0i0"), ".AA==.none",
            "malformed");
    check_j(HEADER("version\0i1\0mechanism\0snone\0userid\0i5\0more\0i0"), ".AA==.none",
            "malformed");
}

static void toml_becomes_json(void **state)
{
    static const char text[] = "a = 1\nb = 1.5\nc = \"x\"\nd = [true, 2]\n[t.u]\nv = 1979-05-27\n";
    json_t *o = toml_parse_string(text, strlen(text), NULL);
    char *s = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(
        s, "{\"a\":1,\"b\":1.5,\"c\":\"x\",\"d\":[true,2],\"t\":{\"u\":{\"v\":\"1979-05-27\"}}}");
    free(s);
    json_decref(o);
}

static void toml_errors_name_the_line(void **state)
{
    flux_error_t e;

    errno = 0;
    assert_null(toml_parse_string("a = 1\nb = \n", 11, &e));
    assert_int_equal(errno, EINVAL);
    if (strncmp(e.text, "input:2: ", 9) != 0)
        fail_msg("%s", e.text);
    assert_null(toml_parse_string("a = inf", 7, &e));
    assert_null(toml_parse_string("a = \"\\u0000\"", 12, &e));
    assert_null(toml_parse_file("/nonexistent/x.toml", &e));
    assert_int_equal(errno, ENOENT);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void toml_directories_are_merged_in_name_order(void **state)
{
    char dir[] = "/tmp/test-toml-XXXXXX";
    char cmd[64];
    json_t *o;
    char *s;

    assert_non_null(mkdtemp(dir));
    write_file(dir, "b.toml", "[t]\nx = 2\ny = 3\n");
    write_file(dir, "a.toml", "[t]\nw = 0\nx = 1\n");
    write_file(dir, "c.conf", "not toml");
    assert_non_null(o = toml_parse_dir(dir, NULL));
    s = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(s, "{\"t\":{\"w\":0,\"x\":2,\"y\":3}}");
    free(s);
    json_decref(o);
    snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
    assert_int_equal(system(cmd), 0);
    errno = 0;
    assert_null(toml_parse_dir(dir, NULL));
    assert_int_equal(errno, ENOENT);
}

static void objects_merge_and_null_removes(void **state)
{
    json_t *to = decode("{\"a\":1,\"b\":{\"c\":2,\"d\":3},\"e\":[1]}");
    json_t *from =
        decode("{\"a\":null,\"b\":{\"c\":null,\"f\":4},\"e\":[2],\"g\":{\"h\":null,\"i\":5},"
               "\"none\":null}");
    char *s;

    assert_int_equal(jsonx_merge(to, from), 0);
    s = json_dumps(to, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(s, "{\"b\":{\"d\":3,\"f\":4},\"e\":[2],\"g\":{\"i\":5}}");
    free(s);
    json_decref(to);
    json_decref(from);
}

static void paths_lead_through_objects_and_arrays(void **state)
{
    json_t *o = decode("{\"a\":{\"b\":[5,{\"c\":6}],\"\":7},\"n\":null}");

    assert_ptr_equal(jsonx_at(o, ""), o);
    assert_int_equal(json_integer_value(jsonx_at(o, "a.b.0")), 5);
    assert_int_equal(json_integer_value(jsonx_at(o, "a.b.1.c")), 6);
    assert_true(json_is_null(jsonx_at(o, "n")));
    for (const char **p = (const char *[]){ "b", "a.c", "a.b.2", "a.b.c", "a.b.0x0", "a.b..c",
                                            "n.a", "a.b.0.c", NULL };
         *p; p++)
        assert_null(jsonx_at(o, *p));
    assert_null(jsonx_at(NULL, "a"));
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_well_formed_objects_are_decoded),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(brackets_inside_strings_are_not_nesting),
        cmocka_unit_test(shapes_name_the_key_and_what_was_expected),
        cmocka_unit_test(objects_merge_and_null_removes),
        cmocka_unit_test(paths_lead_through_objects_and_arrays),
        cmocka_unit_test(eventlog_entries_round_trip),
        cmocka_unit_test(eventlog_is_split_into_lines),
        cmocka_unit_test(malformed_eventlogs_are_refused),
        cmocka_unit_test(signed_requests_round_trip),
        cmocka_unit_test(forged_signed_requests_are_refused),
        cmocka_unit_test(toml_becomes_json),
        cmocka_unit_test(toml_errors_name_the_line),
        cmocka_unit_test(toml_directories_are_merged_in_name_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
