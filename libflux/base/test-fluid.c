/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"

#include <errno.h>
#include <stdint.h>

#include "base/fluid.h"

static const uint64_t example = UINT64_C(6731191091817518); /* RFC 19 */

static void check(uint64_t id, enum fluid_style style, const char *want)
{
    char buf[128];
    uint64_t parsed = 0;

    assert_int_equal(fluid_encode(buf, sizeof(buf), id, style), 0);
    assert_string_equal(buf, want);
    assert_int_equal(fluid_parse(want, &parsed), 0);
    assert_true(parsed == id);
}

static void examples_of_rfc_19_round_trip(void **state)
{
    check(example, FLUID_DEC, "6731191091817518");
    check(example, FLUID_HEX, "0x17e9fb8df16c2e");
    check(example, FLUID_DOTHEX, "0017.e9fb.8df1.6c2e");
    check(example, FLUID_F58, "\u0192uZZybuNNy");
    check(example, FLUID_F58_PLAIN, "fuZZybuNNy");
    check(example, FLUID_MNEMONIC, "reform-remote-galileo--heart-package-academy");
    check(0xedaf97d000000, FLUID_DOTHEX, "000e.daf9.7d00.0000");
    check(0xedaf97d000000, FLUID_MNEMONIC, "random-idea-yoyo--sugar-printer-academy");
}

static void extremes_round_trip_in_every_style(void **state)
{
    static const uint64_t ids[] = {
        0, 1, 57, 58, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX
    };
    char buf[128];
    uint64_t parsed;

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        for (int style = FLUID_DEC; style <= FLUID_F58_PLAIN; style++) {
            assert_int_equal(fluid_encode(buf, sizeof(buf), ids[i], (enum fluid_style)style), 0);
            assert_int_equal(fluid_parse(buf, &parsed), 0);
            assert_true(parsed == ids[i]);
        }
    }
}

static void every_buffer_that_is_too_small_is_reported(void **state)
{
    char buf[128], small[128];

    for (int style = FLUID_DEC; style <= FLUID_F58_PLAIN; style++) {
        size_t size = 0;

        fluid_encode(buf, sizeof(buf), example, (enum fluid_style)style);
        while (fluid_encode(small, size, example, (enum fluid_style)style) == -EOVERFLOW)
            size++;
        assert_string_equal(small, buf);
        assert_int_equal(size, __builtin_strlen(buf) + 1);
    }
}

static void space_around_an_id_is_ignored(void **state)
{
    uint64_t id;

    assert_int_equal(fluid_parse("  fuZZybuNNy\n", &id), 0);
    assert_true(id == example);
}

static void malformed_ids_are_refused(void **state)
{
    static const char *const bad[] = { "",
                                       " ",
                                       "f",
                                       "\u0192",
                                       "fO",
                                       "0x",
                                       "0xg",
                                       "0x11111111111111111",
                                       "1x",
                                       "-1",
                                       "+1",
                                       "18446744073709551616",
                                       "0017.e9fb.8df1",
                                       "17.e9fb.8df1.6c2e",
                                       "0017.e9fb.8df1.6c2e.0000",
                                       "0017.e9fb.8df1.6c2e ff",
                                       "fzzzzzzzzzzzz",
                                       "reform-remote-galileo",
                                       "reform-remote-galileo--heart-package-nosuch",
                                       "reform-remote-galileo-heart-package-academy",
                                       "verbal-verbal-verbal--verbal-verbal-verbal" };
    uint64_t id;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (fluid_parse(bad[i], &id) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
    }
}

static void ids_of_a_generator_grow(void **state)
{
    struct fluid_generator gen;
    uint64_t last = 0, id;

    assert_int_equal(fluid_generator_init(&gen, 3, 0), 0);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(fluid_generate(&gen, &id), 0);
        assert_true(id > last);
        last = id;
    }
    assert_int_equal(last >> 10 & 0x3fff, 3);
}

static void burst_beyond_a_second_ahead_is_put_off(void **state)
{
    struct fluid_generator gen;
    uint64_t id, n = 0;
    int rc;

    fluid_generator_init(&gen, 0, 0);
    while ((rc = fluid_generate(&gen, &id)) == 0 && n < 1u << 23)
        n++;
    assert_true(n >= 1000 * 1024);
    if (n < 1u << 23)
        assert_int_equal(rc, -EAGAIN);
}

static void restarted_generator_continues_above_the_last_id(void **state)
{
    struct fluid_generator gen;
    uint64_t id;

    assert_int_equal(fluid_generator_init(&gen, 0, example), 0);
    assert_int_equal(fluid_generate(&gen, &id), 0);
    assert_true(id > example);
    assert_true(fluid_timestamp_msec(id) - fluid_timestamp_msec(example) < 10000);
    assert_int_equal(fluid_generator_init(&gen, 1 << 14, 0), -EINVAL);
    assert_int_equal(fluid_generator_init(&gen, 0, UINT64_MAX), -EINVAL);
}

static void clock_that_steps_back_repeats_no_id(void **state)
{
    struct fluid_generator gen;
    uint64_t a, b;

    fluid_generator_init(&gen, 0, 0);
    fluid_generate(&gen, &a);
    gen.epoch_msec += 3600 * 1000; /* as if the clock had lost an hour */
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(fluid_generate(&gen, &b), 0);
        assert_true(b > a);
        a = b;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_rfc_19_round_trip),
        cmocka_unit_test(extremes_round_trip_in_every_style),
        cmocka_unit_test(every_buffer_that_is_too_small_is_reported),
        cmocka_unit_test(space_around_an_id_is_ignored),
        cmocka_unit_test(malformed_ids_are_refused),
        cmocka_unit_test(ids_of_a_generator_grow),
        cmocka_unit_test(burst_beyond_a_second_ahead_is_put_off),
        cmocka_unit_test(restarted_generator_continues_above_the_last_id),
        cmocka_unit_test(clock_that_steps_back_repeats_no_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
