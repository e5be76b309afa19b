/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/z85.h"

static void test_the_example_of_the_rfc(void **state)
{
    const uint8_t bytes[] = { 0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B };
    char text[Z85_SIZE(sizeof(bytes))];
    uint8_t back[8];

    z85_encode(bytes, sizeof(bytes), text);
    assert_string_equal(text, "HelloWorld");
    assert_int_equal(z85_decode(text, 10, back), 0);
    assert_memory_equal(back, bytes, 8);
}

static void test_any_bytes_come_back(void **state)
{
    uint32_t seed = 1;

    for (int i = 0; i < 10000; i++) {
        uint8_t bytes[32], back[32];
        char text[Z85_SIZE(32)];

        for (size_t k = 0; k < 32; k++)
            bytes[k] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
        if (i == 0)
            memset(bytes, 0xff, sizeof(bytes));
        z85_encode(bytes, sizeof(bytes), text);
        assert_int_equal(strlen(text), 40);
        assert_int_equal(z85_decode(text, 40, back), 0);
        assert_memory_equal(back, bytes, 32);
    }
}

static void test_what_is_not_z85_is_refused(void **state)
{
    uint8_t back[8];

    assert_int_equal(z85_decode("Hell", 4, back), -EINVAL);
    assert_int_equal(z85_decode("Hell\"", 5, back), -EINVAL);
    assert_int_equal(z85_decode("Hel\0o", 5, back), -EINVAL);
    assert_int_equal(z85_decode("Hell\xff", 5, back), -EINVAL);
    assert_int_equal(z85_decode("%nSc0", 5, back), 0); /* 0xffffffff */
    assert_int_equal(z85_decode("%nSc1", 5, back), -EINVAL);
    assert_int_equal(z85_decode("#####", 5, back), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_the_rfc),
        cmocka_unit_test(test_any_bytes_come_back),
        cmocka_unit_test(test_what_is_not_z85_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
