/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* bulksubmit: input lists, their combinations, replacement. */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bulk-input.h"
#include "bulk-template.h"

#define WORDS(...) ((char *[]){ __VA_ARGS__, NULL })

/* All combinations, "a,b;a,c". */
static void check(char **argv, const char *sep, const char *want)
{
    struct bulk_inputs b;
    flux_error_t e = { "" };
    const char *words[8];
    char all[512] = "";

    if (bulk_inputs_init(&b, argv, sep, &e) < 0)
        fail_msg("%s", e.text);
    for (size_t i = 0; i < b.count; i++) {
        bulk_inputs_get(&b, i, words);
        for (size_t k = 0; k < b.nlists; k++) {
            strcat(all, k ? "," : i ? ";" : "");
            strcat(all, words[k]);
        }
    }
    assert_string_equal(all, want);
    bulk_inputs_deinit(&b);
}

static void lists_are_combined(void **state)
{
    check(WORDS("echo", ":::", "1", "2", "3"), NULL, "1;2;3");
    check(WORDS("echo", ":::", "1", "2", ":::", "3", "4"), NULL, "1,3;1,4;2,3;2,4");
}

static void linked_lists_go_in_step(void **state)
{
    check(WORDS(":::", "1", "2", ":::+", "3", "4"), NULL, "1,3;2,4");
    check(WORDS(":::", "1", "2", "3", ":::+", "a", "b"), NULL, "1,a;2,b;3,a");
    check(WORDS(":::", "1", "2", ":::+", "3", "4", ":::", "x", "y"), NULL,
          "1,3,x;1,3,y;2,4,x;2,4,y");
}

static void files_are_split_by_the_separator(void **state)
{
    char path[] = "/tmp/test-bulk-XXXXXX";
    int fd = mkstemp(path);

    assert_int_equal(write(fd, "a b\nc\n", 6), 6);
    close(fd);
    check(WORDS("::::", path), NULL, "a b;c");
    check(WORDS("::::", path), "none", "a;b;c");
    check(WORDS("::::", path), " ", "a;b\nc");
    check(WORDS(":::", "1", "2", "::::+", path), NULL, "1,a b;2,c");
    unlink(path);
}

static void wrong_lists_are_refused(void **state)
{
    struct bulk_inputs b;
    flux_error_t e;

    assert_int_equal(bulk_inputs_init(&b, WORDS("echo", ":::"), NULL, &e), -EINVAL);
    assert_int_equal(bulk_inputs_init(&b, WORDS(":::+", "a"), NULL, &e), -EINVAL);
    assert_int_equal(bulk_inputs_init(&b, WORDS("::::", "/nosuch"), NULL, &e), -ENOENT);
    assert_int_equal(bulk_inputs_init(&b, WORDS(":::", "a"), "", &e), -EINVAL);
}

static const struct bulk_define defines[] = { { "p2", 2, "2**len(x)" }, { "bad", 3, "1//0" } };
static const char *const inputs[] = { "/a/b.tar.gz", "c" };
static const struct bulk_context context = {
    .words = inputs, .nwords = 2, .seq = 6, .defines = defines, .ndefines = 2
};

static void check_substitution(const char *s, const char *want)
{
    flux_error_t e = { "" };
    char *text = NULL;

    if (bulk_substitute(s, &context, &text, &e) < 0)
        fail_msg("%s: %s", s, e.text);
    assert_string_equal(text, want);
    free(text);
}

static void braces_are_replaced(void **state)
{
    check_substitution("x{}y", "x/a/b.tar.gzy");
    check_substitution("{} {}", "/a/b.tar.gz c");
    check_substitution("{1}{0}", "c/a/b.tar.gz");
    check_substitution("{.%}", "/a/b.tar");
    check_substitution("{./}", "b.tar.gz");
    check_substitution("{./%}", "b.tar");
    check_substitution("{0.//}", "/a");
    check_substitution("{1.//}", "");
    check_substitution("{seq} {seq1}", "6 7");
    check_substitution("{1.p2}", "2");
    check_substitution("out-{cc}-{{id}}", "out-{cc}-{{id}}"); /* replaced later */
}

static void unknown_braces_are_refused(void **state)
{
    static const char *const wrong[] = { "{2}", "{foo}", "{.foo}", "{", "{0", "{1x}", "{.bad}" };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        flux_error_t e = { "" };
        char *text = NULL;

        if (bulk_substitute(wrong[i], &context, &text, &e) == 0 || !e.text[0])
            fail_msg("%s was taken", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_combined),
        cmocka_unit_test(linked_lists_go_in_step),
        cmocka_unit_test(files_are_split_by_the_separator),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(braces_are_replaced),
        cmocka_unit_test(unknown_braces_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
