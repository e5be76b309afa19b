/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Output in pieces, file names, output files, environments. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fluid.h"
#include "env.h"
#include "linebuf.h"
#include "output.h"
#include "template.h"

static void add(struct linebuf *lb, const char *data, size_t size)
{
    char *room = linebuf_reserve(lb);

    assert_non_null(room);
    memcpy(room, data, size);
    linebuf_added(lb, size);
}

static void lines_stay_whole(void **state)
{
    struct linebuf lb;

    linebuf_init(&lb, true);
    add(&lb, "one\ntwo\nthr", 11);
    assert_int_equal(linebuf_piece(&lb, false), 8);
    linebuf_consume(&lb, 8);
    assert_int_equal(linebuf_piece(&lb, false), 0);
    add(&lb, "ee", 2);
    assert_int_equal(linebuf_piece(&lb, false), 0);
    assert_int_equal(linebuf_piece(&lb, true), 5); /* the end counts as a newline */
    assert_memory_equal(lb.data, "three", 5);
    linebuf_deinit(&lb);
}

static void unbuffered_output_goes_at_once_but_never_half_a_character(void **state)
{
    struct linebuf lb;

    linebuf_init(&lb, false);
    add(&lb, "abc\xe2\x82", 5);
    assert_int_equal(linebuf_piece(&lb, false), 3);
    linebuf_consume(&lb, 3);
    assert_int_equal(linebuf_piece(&lb, false), 0);
    add(&lb, "\xac", 1);
    assert_int_equal(linebuf_piece(&lb, false), 3);
    linebuf_consume(&lb, 3);
    add(&lb, "\xff\xfe", 2); /* no character at all: not held back */
    assert_int_equal(linebuf_piece(&lb, false), 2);
    linebuf_consume(&lb, 2);
    add(&lb, "\xe2\x82", 2);
    assert_int_equal(linebuf_piece(&lb, true), 2);
    linebuf_deinit(&lb);
}

static void a_line_without_end_is_cut_and_memory_bounded(void **state)
{
    static char block[LINEBUF_MAX];
    struct linebuf lb;
    size_t total = 0;

    memset(block, 'x', sizeof(block));
    linebuf_init(&lb, true);
    for (int i = 0; i < 100; i++) {
        size_t n;

        add(&lb, block, sizeof(block) - 7);
        while ((n = linebuf_piece(&lb, false)) > 0) {
            total += n;
            linebuf_consume(&lb, n);
        }
        assert_true(lb.size < LINEBUF_MAX);
        assert_true(lb.capacity <= 2 * LINEBUF_MAX);
    }
    total += lb.size;
    assert_int_equal(total, 100 * (sizeof(block) - 7));
    linebuf_deinit(&lb);
}

static const struct template_values values = {
    .id = 1,
    .name = "a/b",
    .ntasks = 4,
    .nnodes = 2,
    .node_id = 1,
    .node_name = "n1",
    .task_rank = 3,
    .task_index = 0,
};

static void expands_to(const char *text, const struct template_values *v, const char *expected)
{
    CLEANUP(freep) char *s = template_expand(text, v);

    assert_non_null(s);
    assert_string_equal(s, expected);
}

static void tags_are_replaced(void **state)
{
    char f58[32], text[80];

    assert_int_equal(fluid_encode(f58, sizeof(f58), 1, FLUID_F58), 0);
    (void)snprintf(text, sizeof(text), "out-%s-%s", f58, f58);
    expands_to("out-{{id}}-{{jobid}}", &values, text);
    expands_to("{{id.dec}}.{{jobid.dec}}.{{id.hex}}", &values, "1.1.0x1");
    expands_to("{{size}}/{{nnodes}}/{{node.id}}/{{node.name}}", &values, "4/2/1/n1");
    expands_to("{{taskid}}{{task.id}}{{task.rank}}{{task.index}}", &values, "3330");
    expands_to("/x/{{name}}", &values, "/x/a_b"); /* a name cannot lead elsewhere */
    expands_to("plain", &values, "plain");
    expands_to("", &values, "");
}

static void what_is_no_tag_stays(void **state)
{
    expands_to("{{nonsense}}", &values, "{{nonsense}}");
    expands_to("{{id.nonsense}}", &values, "{{id.nonsense}}");
    expands_to("{{}}{id}{{id", &values, "{{}}{id}{{id");
    expands_to("{{{{size}}", &values, "{{4");
    expands_to("{{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}", &values,
               "{{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}");
}

static void task_tags_make_a_file_per_task(void **state)
{
    struct template_values all = values;

    all.task_rank = all.task_index = -1;
    assert_true(template_is_per_task("a{{taskid}}"));
    assert_true(template_is_per_task("{{task.index}}"));
    assert_false(template_is_per_task("{{id}}"));
    assert_false(template_is_per_task("{{taskid"));
    expands_to("{{taskid}}{{size}}", &all, "{{taskid}}4");
}

static void text_may_grow(void **state)
{
    char text[4096];
    char *s;

    for (size_t i = 0; i + 13 < sizeof(text); i += 13)
        memcpy(text + i, "{{id.words}}x", 13);
    text[4090] = '\0';
    s = template_expand(text, &values);
    assert_non_null(s);
    assert_true(strlen(s) > sizeof(text));
    free(s);
}

static void the_directory_of_the_job_keeps_its_slashes_and_is_the_nodes_own(void **state)
{
    struct template_values v = values;

    expands_to("{{tmpdir}}/script", &v, "{{tmpdir}}/script");
    v.tmpdir = "/tmp/job";
    expands_to("{{tmpdir}}/script", &v, "/tmp/job/script");
    assert_true(template_is_per_node("{{tmpdir}}/x"));
}

static void read_back(const char *path, char *buf, size_t size)
{
    FILE *f = fopen(path, "r");
    size_t n;

    assert_non_null(f);
    n = fread(buf, 1, size - 1, f);
    buf[n] = '\0';
    (void)fclose(f);
}

static int put(struct outfile *file, const char *data, int label, bool *at_line_start)
{
    size_t size;
    CLEANUP(freep)
    char *text = outfile_label(data, strlen(data), label, at_line_start, &size);

    return outfile_write(file, text, size);
}

static void lines_in_files_are_labelled_where_they_begin(void **state)
{
    char dir[] = "/tmp/test-text-XXXXXX", path[64], text[128];
    struct outfiles *files = outfiles_new();
    struct outfile *file, *same;
    flux_error_t error = { .text = "" };
    bool start = true, first;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/out", dir);
    assert_int_equal(outfiles_open(files, path, false, &file, &first, &error), 0);
    assert_true(first);
    assert_int_equal(outfiles_open(files, path, false, &same, &first, &error), 0);
    assert_false(first);
    assert_ptr_equal(file, same);
    assert_int_equal(put(file, "one\ntwo", 3, &start), 0);
    assert_false(start);
    assert_int_equal(put(file, " more\n", 3, &start), 0);
    assert_true(start);
    assert_int_equal(outfile_write(file, "bare\n", 5), 0);
    read_back(path, text, sizeof(text));
    assert_string_equal(text, "3: one\n3: two more\nbare\n");
    files = outfiles_free(files);

    files = outfiles_new(); /* again, appending */
    assert_int_equal(outfiles_open(files, path, true, &file, &first, &error), 0);
    assert_int_equal(outfile_write(file, "x", 1), 0);
    outfiles_free(files);
    read_back(path, text, sizeof(text));
    assert_string_equal(text, "3: one\n3: two more\nbare\nx");

    files = outfiles_new();
    assert_int_equal(outfiles_open(files, "/nonexistent/x", false, &file, &first, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/x"));
    outfiles_free(files);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void environments_take_strings_only(void **state)
{
    CLEANUP(json_decrefp)
    json_t *o =
        json_loads("{\"A\":\"1\",\"B\":null,\"C=D\":\"x\",\"\":\"y\",\"E\":3,\"F\":\"\"}", 0, NULL);
    CLEANUP(freep) char **list = NULL;
    struct env env, copy;
    size_t n = 0;

    assert_int_equal(env_init(&env, o), 0);
    assert_string_equal(env_get(&env, "A"), "1");
    assert_null(env_get(&env, "B"));
    assert_null(env_get(&env, "E"));
    assert_int_equal(env_copy(&env, &copy), 0);
    assert_int_equal(env_set(&copy, "A", "%d", 2), 0);
    assert_string_equal(env_get(&env, "A"), "1");
    env_unset(&copy, "F");
    list = env_strings(&copy);
    assert_non_null(list);
    while (list[n])
        n++;
    assert_int_equal(n, 1);
    assert_string_equal(list[0], "A=2");
    env_deinit(&copy);
    env_deinit(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_stay_whole),
        cmocka_unit_test(unbuffered_output_goes_at_once_but_never_half_a_character),
        cmocka_unit_test(a_line_without_end_is_cut_and_memory_bounded),
        cmocka_unit_test(tags_are_replaced),
        cmocka_unit_test(what_is_no_tag_stays),
        cmocka_unit_test(task_tags_make_a_file_per_task),
        cmocka_unit_test(text_may_grow),
        cmocka_unit_test(the_directory_of_the_job_keeps_its_slashes_and_is_the_nodes_own),
        cmocka_unit_test(lines_in_files_are_labelled_where_they_begin),
        cmocka_unit_test(environments_take_strings_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
