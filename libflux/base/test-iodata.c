/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/iodata.h"

static void text_length_stops_at_the_first_bad_byte(void **state)
{
    bool partial;

    assert_int_equal(iodata_text_length("abc", 3, &partial), 3);
    assert_false(partial);
    assert_int_equal(iodata_text_length("a\0c", 3, &partial), 1);
    assert_false(partial);
    assert_int_equal(iodata_text_length("a\xc0\x80", 3, &partial), 1);
    assert_false(partial);
    assert_int_equal(iodata_text_length("\xed\xa0\x80", 3, &partial), 0);
    assert_false(partial);
    assert_int_equal(iodata_text_length("\xf4\x90\x80\x80", 4, &partial), 0);
    assert_int_equal(iodata_text_length("", 0, &partial), 0);
}

static void a_character_cut_off_by_the_end_is_partial(void **state)
{
    bool partial;

    assert_int_equal(iodata_text_length("x\xe2\x82", 3, &partial), 1);
    assert_true(partial);
    assert_int_equal(iodata_text_length("x\xe2\x82\xac", 4, &partial), 4);
    assert_false(partial);
    assert_int_equal(iodata_text_length("\xf0\x9f", 2, &partial), 0);
    assert_true(partial);
    assert_int_equal(iodata_text_length("\xe2(", 2, &partial), 0);
    assert_false(partial);
}

static void round_trip(const void *data, size_t size, bool eof, const char *encoding)
{
    CLEANUP(json_decrefp) json_t *o = iodata_encode("stdout", "3", data, size, eof);
    struct iodata io;

    assert_non_null(o);
    if (encoding)
        assert_string_equal(json_string_value(json_object_get(o, "encoding")), encoding);
    else
        assert_null(json_object_get(o, "encoding"));
    assert_int_equal(iodata_decode(o, &io), 0);
    assert_string_equal(io.stream, "stdout");
    assert_string_equal(io.rank, "3");
    assert_int_equal(io.size, size);
    if (size)
        assert_memory_equal(io.data, data, size);
    assert_int_equal(io.eof, eof);
    iodata_deinit(&io);
}

static void every_byte_string_survives_the_round_trip(void **state)
{
    uint8_t all[256];

    for (int i = 0; i < 256; i++)
        all[i] = i;
    round_trip("hello\n", 6, false, NULL);
    round_trip("h\xc3\xa9\n", 4, true, NULL);
    round_trip("", 0, true, NULL);
    round_trip("a\0b", 3, false, "base64");
    round_trip("\xff", 1, false, "base64");
    round_trip(all, sizeof(all), true, "base64");
}

static void wrong_objects_are_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"stream\":1}",
        "{\"stream\":\"stdin\",\"data\":1}",
        "{\"stream\":\"stdin\",\"data\":\"x\",\"encoding\":\"rot13\"}",
        "{\"stream\":\"stdin\",\"data\":\"*\",\"encoding\":\"base64\"}",
        "{\"stream\":\"stdin\",\"data\":\"x\",\"encoding\":1}",
        "{\"stream\":\"stdin\",\"rank\":0}",
        "{\"stream\":\"stdin\",\"eof\":1}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(json_decrefp) json_t *o = json_loads(bad[i], 0, NULL);
        struct iodata io;

        assert_non_null(o);
        assert_int_equal(iodata_decode(o, &io), -EPROTO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_length_stops_at_the_first_bad_byte),
        cmocka_unit_test(a_character_cut_off_by_the_end_is_partial),
        cmocka_unit_test(every_byte_string_survives_the_round_trip),
        cmocka_unit_test(wrong_objects_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
