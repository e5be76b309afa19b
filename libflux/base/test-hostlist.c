/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <flux/hostlist.h>

/* The names of a list, joined by commas. */
static char *expand(const struct hostlist *hl)
{
    char *s = NULL;
    size_t size;
    FILE *f = open_memstream(&s, &size);

    for (int i = 0; i < hostlist_count(hl); i++)
        fprintf(f, "%s%s", i ? "," : "", hostlist_nth(hl, i));
    fclose(f);
    return s;
}

static void check(const char *in, const char *expanded, const char *encoded)
{
    struct hostlist *hl = hostlist_decode(in);
    char *s;

    assert_non_null(hl);
    s = expand(hl);
    assert_string_equal(s, expanded);
    free(s);
    s = hostlist_encode(hl);
    assert_string_equal(s, encoded);
    free(s);
    hostlist_destroy(hl);
}

static void vectors_of_rfc_29_are_understood(void **state)
{
    check("", "", "");
    check("foox,fooy,fooz", "foox,fooy,fooz", "foox,fooy,fooz");
    check("[1-3,5-6]", "1,2,3,5,6", "[1-3,5-6]");
    check("foo[1-5]", "foo1,foo2,foo3,foo4,foo5", "foo[1-5]");
    check("foo[0-4]-eth2", "foo0-eth2,foo1-eth2,foo2-eth2,foo3-eth2,foo4-eth2", "foo[0-4]-eth2");
    check("foo1,foo1,foo1", "foo1,foo1,foo1", "foo[1,1,1]");
    check("[00-02]", "00,01,02", "[00-02]");
    check("[00-2]", "00,01,02", "[00-02]");
    check("foo[1,1,2,1]", "foo1,foo1,foo2,foo1", "foo[1,1-2,1]");
    check("n[005,4,11-13]", "n005,n004,n011,n012,n013", "n[005,004,011-013]");
}

static void encoding_joins_only_what_decodes_to_the_same_names(void **state)
{
    check("n9,n10,n11", "n9,n10,n11", "n[9-11]");
    check("n09,n10", "n09,n10", "n[09-10]");
    check("n9,n010", "n9,n010", "n9,n010");
    check("n99,n100", "n99,n100", "n[99-100]");
    check("n099,n100,n1000", "n099,n100,n1000", "n[099-100,1000]");
    check("r1n1,r1n2,r2n1", "r1n1,r1n2,r2n1", "r1n[1-2],r2n1");
    check("a1b2,a2b2", "a1b2,a2b2", "a[1-2]b2");
    check("a1b1,a2b2", "a1b1,a2b2", "a1b1,a2b2");
    check("node,node1,node2", "node,node1,node2", "node,node[1-2]");
    check("n3,n2,n1", "n3,n2,n1", "n[3,2,1]");
    check("n1234567890123456789012", "n1234567890123456789012", "n1234567890123456789012");
}

static void malformed_strings_are_refused(void **state)
{
    static const char *const bad[] = {
        "n[",       "n]",  "n[1", "n[]", "n[2-1]", "n[a]",  "n[1-]",        "n[1,]",
        "n[1]m[2]", "a b", " a",  "a\n", "n[1 ]",  "n[-1]", "n[0-1048576]", "n[1234567890123456789]"
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        errno = 0;
        if (hostlist_decode(bad[i]))
            fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(errno, EINVAL);
    }
}

static void names_longer_than_255_bytes_are_refused(void **state)
{
    char name[300];
    struct hostlist *hl = hostlist_create();

    memset(name, 'a', sizeof(name));
    name[255] = '\0';
    assert_int_equal(hostlist_append(hl, name), 1);
    name[255] = 'a';
    name[256] = '\0';
    assert_int_equal(hostlist_append(hl, name), -1);
    assert_int_equal(hostlist_count(hl), 1);
    hostlist_destroy(hl);
}

static void failed_append_leaves_the_list_as_it_was(void **state)
{
    struct hostlist *hl = hostlist_decode("a,b");

    assert_int_equal(hostlist_append(hl, "c[1-3],d["), -1);
    assert_int_equal(hostlist_count(hl), 2);
    assert_int_equal(hostlist_append(hl, "c[1-3]"), 3);
    assert_string_equal(hostlist_nth(hl, 4), "c3");
    hostlist_destroy(hl);
}

static void find_and_nth_agree(void **state)
{
    struct hostlist *hl = hostlist_decode("n[0-99]");

    assert_int_equal(hostlist_find(hl, "n42"), 42);
    assert_string_equal(hostlist_nth(hl, 42), "n42");
    errno = 0;
    assert_int_equal(hostlist_find(hl, "n100"), -1);
    assert_int_equal(errno, ENOENT);
    assert_null(hostlist_nth(hl, 100));
    assert_null(hostlist_nth(hl, -1));
    hostlist_destroy(hl);
}

static void uniq_keeps_the_first_of_equal_names(void **state)
{
    struct hostlist *hl = hostlist_decode("b,a,b,c,a");
    struct hostlist *copy;
    char *s;

    hostlist_uniq(hl);
    s = expand(hl);
    assert_string_equal(s, "b,a,c");
    free(s);
    copy = hostlist_copy(hl);
    assert_int_equal(hostlist_count(copy), 3);
    hostlist_destroy(copy);
    hostlist_destroy(hl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_29_are_understood),
        cmocka_unit_test(encoding_joins_only_what_decodes_to_the_same_names),
        cmocka_unit_test(malformed_strings_are_refused),
        cmocka_unit_test(names_longer_than_255_bytes_are_refused),
        cmocka_unit_test(failed_append_leaves_the_list_as_it_was),
        cmocka_unit_test(find_and_nth_agree),
        cmocka_unit_test(uniq_keeps_the_first_of_equal_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
