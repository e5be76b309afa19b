/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The small text formats: numbers, durations, base64, blobrefs, error texts. */
#include "base/testing.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/errorx.h"
#include "base/fsd.h"
#include "base/number.h"

static void numbers_take_the_whole_string_or_nothing(void **state)
{
    uint64_t u = 7;
    uint32_t w = 7;
    int64_t i = 7;
    int n = 7;

    assert_int_equal(number_parse_u64("18446744073709551615", UINT64_MAX, &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(number_parse_u64("18446744073709551616", UINT64_MAX, &u), -ERANGE);
    assert_int_equal(number_parse_u64("11", 10, &u), -ERANGE);
    assert_true(u == UINT64_MAX); /* untouched by failure */
    for (const char *const *s =
             (const char *const[]){ "", " 1", "1 ", "+1", "-1", "1x", "x", "0x1", NULL };
         *s; s++)
        assert_int_equal(number_parse_u64(*s, UINT64_MAX, &u), -EINVAL);
    assert_int_equal(number_parse_u64(NULL, 1, &u), -EINVAL);
    assert_int_equal(number_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(number_parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &i), -ERANGE);
    assert_int_equal(number_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &i), -ERANGE);
    assert_int_equal(number_parse_i64("--1", INT64_MIN, INT64_MAX, &i), -EINVAL);
    assert_int_equal(number_parse_u32("4294967295", &w), 0);
    assert_int_equal(number_parse_u32("4294967296", &w), -ERANGE);
    assert_int_equal(number_parse_int("-5", -10, 10, &n), 0);
    assert_int_equal(n, -5);
    assert_int_equal(number_parse_int("11", -10, 10, &n), -ERANGE);
}

static void doubles_are_finite_and_decimal(void **state)
{
    double d = 7;

    assert_int_equal(number_parse_double("-1.5e3", &d), 0);
    assert_true(d == -1500);
    assert_int_equal(number_parse_double("1e999", &d), -ERANGE);
    for (const char *const *s =
             (const char *const[]){ "", "inf", "nan", "0x1p3", " 1", "1 ", "+1", "1e", NULL };
         *s; s++)
        assert_int_equal(number_parse_double(*s, &d), -EINVAL);
}

static void sizes_take_one_suffix(void **state)
{
    uint64_t u;

    assert_int_equal(number_parse_size("4K", &u), 0);
    assert_true(u == 4096);
    assert_int_equal(number_parse_size("2t", &u), 0);
    assert_true(u == UINT64_C(2) << 40);
    assert_int_equal(number_parse_size("7", &u), 0);
    assert_int_equal(number_parse_size("99999999T", &u), -ERANGE);
    assert_int_equal(number_parse_size("1KB", &u), -EINVAL);
    assert_int_equal(number_parse_size("K", &u), -EINVAL);
}

static void check_fsd(const char *s, double want)
{
    double d = -1;

    assert_int_equal(fsd_parse(s, &d), 0);
    assert_true(d == want || fabs(d - want) < 1E-9 * want);
}

static void durations_of_rfc_23_are_understood(void **state)
{
    double d;

    check_fsd("30", 30);
    check_fsd("1.5m", 90);
    check_fsd("100ms", 0.1);
    check_fsd("2h", 7200);
    check_fsd("1d", 86400);
    check_fsd("1e2s", 100);
    check_fsd(".5s", 0.5);
    check_fsd("inf", INFINITY);
    check_fsd("infinity", INFINITY);
    for (const char *const *s = (const char *const[]){ "", "s", "-1", "+1", " 1", "1 ", "1x", "1S",
                                                       "nan", "1ss", "infs", "1e308d", NULL };
         *s; s++) {
        if (fsd_parse(*s, &d) != -EINVAL)
            fail_msg("'%s' was accepted", *s);
    }
}

static void check_fsd_format(double seconds, const char *rounded, const char *exact)
{
    char buf[64];
    double back;

    assert_int_equal(fsd_format(buf, sizeof(buf), seconds), 0);
    assert_string_equal(buf, rounded);
    assert_int_equal(fsd_format_exact(buf, sizeof(buf), seconds), 0);
    assert_string_equal(buf, exact);
    assert_int_equal(fsd_parse(buf, &back), 0);
    assert_true(back == seconds);
}

static void durations_are_printed_in_the_largest_unit(void **state)
{
    char small[3];

    check_fsd_format(0, "0s", "0s");
    check_fsd_format(0.25, "250ms", "0.25s");
    check_fsd_format(59.5, "59.5s", "59.5s");
    check_fsd_format(90, "1.5m", "90s");
    check_fsd_format(7200, "2h", "7200s");
    check_fsd_format(100000.123456789, "1.157d", "100000.123456789s");
    check_fsd_format(INFINITY, "infinity", "infinity");
    assert_int_equal(fsd_format(small, sizeof(small), 90), -EOVERFLOW);
    assert_int_equal(fsd_format(small, sizeof(small), -1), -EINVAL);
    assert_int_equal(fsd_format(small, sizeof(small), NAN), -EINVAL);
}

static void base64_round_trips_every_length(void **state)
{
    char data[64];
    size_t len, size;

    for (size_t n = 0; n < sizeof(data); n++) {
        char *s, *back;

        memset(data, (int)(n * 37), n);
        s = base64_encode(data, n, &len);
        assert_int_equal(len, strlen(s));
        back = base64_decode(s, len, &size);
        assert_int_equal(size, n);
        assert_memory_equal(back, data, n);
        free(back);
        free(s);
    }
}

static void malformed_base64_is_refused(void **state)
{
    size_t size;

    for (const char *const *s = (const char *const[]){ "A", "AA", "AA=", "AA==A", "A===", "QQ=",
                                                       "QR==", "Q Q==", "QQ==\n", "_-==", NULL };
         *s; s++) {
        errno = 0;
        if (base64_decode(*s, strlen(*s), &size))
            fail_msg("'%s' was accepted", *s);
        assert_int_equal(errno, EINVAL);
    }
}

static void digests_match_their_standards(void **state)
{
    uint8_t digest[DIGEST_SIZE], back[DIGEST_SIZE];
    enum digest_algorithm alg;
    char ref[BLOBREF_STRING_SIZE];

    digest_compute(DIGEST_SHA256, "abc", 3, digest);
    blobref_format(DIGEST_SHA256, digest, ref);
    assert_string_equal(ref,
                        "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_compute(DIGEST_BLAKE2B, "abc", 3, digest);
    blobref_format(DIGEST_BLAKE2B, digest, ref);
    assert_string_equal(ref,
                        "blake2b-bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    assert_int_equal(blobref_parse(ref, &alg, back), 0);
    assert_int_equal(alg, DIGEST_BLAKE2B);
    assert_memory_equal(back, digest, DIGEST_SIZE);
}

static void other_blobrefs_are_refused(void **state)
{
    char ref[BLOBREF_STRING_SIZE + 8];
    uint8_t digest[DIGEST_SIZE] = { 0xab };
    enum digest_algorithm alg;

    blobref_format(DIGEST_SHA256, digest, ref);
    assert_true(blobref_valid(ref));
    strcat(ref, "0");
    assert_false(blobref_valid(ref)); /* too long */
    ref[strlen(ref) - 2] = '\0';
    assert_false(blobref_valid(ref)); /* too short */
    blobref_format(DIGEST_SHA256, digest, ref);
    ref[7] = 'A';
    assert_false(blobref_valid(ref)); /* upper case */
    assert_false(blobref_valid("sha1-f1d2d2f924e986ac86fdf7b36c94bcdf32beec15"));
    assert_false(blobref_valid("sha256"));
    assert_false(blobref_valid(""));
    assert_false(blobref_valid(NULL));
    assert_int_equal(digest_algorithm_parse("sha1", &alg), -EINVAL);
    assert_int_equal(digest_algorithm_parse("blake2b", &alg), 0);
}

static void long_error_texts_are_cut_and_terminated(void **state)
{
    flux_error_t e;
    char text[400];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(errorx_fail(&e, EPERM, "%s", text), -EPERM);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_int_equal(errorx_fail(NULL, EPERM, "nobody listens"), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_take_the_whole_string_or_nothing),
        cmocka_unit_test(doubles_are_finite_and_decimal),
        cmocka_unit_test(sizes_take_one_suffix),
        cmocka_unit_test(durations_of_rfc_23_are_understood),
        cmocka_unit_test(durations_are_printed_in_the_largest_unit),
        cmocka_unit_test(base64_round_trips_every_length),
        cmocka_unit_test(malformed_base64_is_refused),
        cmocka_unit_test(digests_match_their_standards),
        cmocka_unit_test(other_blobrefs_are_refused),
        cmocka_unit_test(long_error_texts_are_cut_and_terminated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
