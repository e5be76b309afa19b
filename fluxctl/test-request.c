/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From options to a jobspec: environment rules, {cc}, shell options, dependencies. */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jobspec.h"
#include "env-rules.h"
#include "families.h"
#include "job-request.h"
#include "output-print.h"
#include "progress.h"

static int setup(void **state)
{
    assert_int_equal(clearenv(), 0);
    setenv("PATH", "/bin", 1);
    setenv("OMP_A", "1", 1);
    setenv("OMP_B", "2", 1);
    setenv("HOME", "/home/x", 1);
    setenv("NOTIFY_SOCKET", "/run/x", 1);
    return 0;
}

static void check_env(const char *const rules[], const char *want)
{
    json_t *env = env_create();
    flux_error_t e;
    char *s;

    for (; *rules; rules++) {
        if (env_apply(env, *rules, &e) < 0)
            fail_msg("%s: %s", *rules, e.text);
    }
    s = json_dumps(env, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(s, want);
    free(s);
    json_decref(env);
}
#define RULES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static void rules_are_applied_in_order(void **state)
{
    check_env(RULES("*"),
              "{\"HOME\":\"/home/x\",\"OMP_A\":\"1\",\"OMP_B\":\"2\",\"PATH\":\"/bin\"}");
    check_env(RULES("-*", "PATH"), "{\"PATH\":\"/bin\"}");
    check_env(RULES("-/.*/", "OMP*"), "{\"OMP_A\":\"1\",\"OMP_B\":\"2\"}");
    check_env(RULES("-*", "/^OMP_[B-Z]/"), "{\"OMP_B\":\"2\"}");
    check_env(RULES("-*", "PATH=/x", "PATH=$PATH:/bin"), "{\"PATH\":\"/x:/bin\"}");
    check_env(RULES("-*", "A=${PATH}y$$z"), "{\"A\":\"/biny$z\"}");  /* falls back to ours */
    check_env(RULES("-*", "OMP_A=9", "OMP_A"), "{\"OMP_A\":\"9\"}"); /* set already */
    check_env(RULES("-*", "NOSUCH"), "{}");
    check_env(RULES("-*", "NOTIFY_SOCKET"), "{\"NOTIFY_SOCKET\":\"/run/x\"}"); /* on request only */
}

static void rule_files_are_read(void **state)
{
    char path[] = "/tmp/test-env-XXXXXX";
    char rule[64];
    int fd = mkstemp(path);
    static const char text[] = "-*\n# comment\n\nOMP*\nFOO=bar\nBAR=${FOO}/baz\n";
    json_t *env = env_create();

    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    snprintf(rule, sizeof(rule), "^%s", path);
    check_env(RULES(rule), "{\"BAR\":\"bar/baz\",\"FOO\":\"bar\",\"OMP_A\":\"1\",\"OMP_B\":\"2\"}");
    unlink(path);
    assert_int_equal(env_apply(env, rule, NULL), -ENOENT);
    json_decref(env);
}

static void wrong_rules_are_refused(void **state)
{
    json_t *env = env_create();

    for (const char *const *s = (const char *const[]){ "A=${B:-c}", "A=$", "A=$1", "A=$NOSUCH",
                                                       "=x", "-/[/", "A=${B", NULL };
         *s; s++) {
        flux_error_t e = { "" };

        if (env_apply(env, *s, &e) != -EINVAL)
            fail_msg("'%s' was accepted", *s);
        assert_true(e.text[0]);
    }
    json_decref(env);
}

/* The jobspec that `submit` makes of these words. */
static json_t *build(char **argv, const char *cc, struct jobspec *ret)
{
    struct cmdline c;
    struct job_request req;
    json_t *o;
    flux_error_t e;
    int argc = 0;

    while (argv[argc])
        argc++;
    assert_int_equal(cmdline_parse(&cmd_submit[0], argc, argv, &c, NULL), 0);
    if (job_request_init(&req, &c, cc, true) < 0) {
        cmdline_deinit(&c);
        return NULL;
    }
    assert_non_null(o = json_loads(req.jobspec, 0, NULL));
    if (jobspec_parse(o, ret, &e) < 0)
        fail_msg("%s", e.text);
    job_request_deinit(&req);
    cmdline_deinit(&c);
    return o;
}
#define BUILD(cc, ret, ...) build((char *[]){ __VA_ARGS__, NULL }, cc, ret)

static const char *at(json_t *o, const char *path)
{
    char copy[128], *save;

    strcpy(copy, path);
    for (char *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save))
        o = json_object_get(o, key);
    return json_string_value(o);
}

static void options_end_in_the_jobspec(void **state)
{
    struct jobspec js;
    json_t *o = BUILD(NULL, &js, "-n4", "-N2", "-c2", "-g1", "-t1m", "--cwd=/x", "--job-name=me",
                      "-q", "debug", "-o", "pty", "-ompi=none", "-o", "a.b={\"c\":1}",
                      "--output=f.{{id}}", "--setattr=user.x=y", "--setattr=foo=7",
                      "--dependency=afterok:f123?k=v", "--env=-*", "app", "-n9");

    assert_int_equal(js.ntasks, 4);
    assert_int_equal(js.nnodes, 2);
    assert_int_equal(js.cores_per_slot, 2);
    assert_int_equal(js.gpus_per_slot, 1);
    assert_true(js.duration == 60);
    assert_string_equal(js.cwd, "/x");
    assert_string_equal(js.name, "me");
    assert_string_equal(js.queue, "debug");
    assert_int_equal(json_array_size(js.command), 2);
    assert_int_equal(json_object_size(js.environment), 0);
    assert_int_equal(json_integer_value(json_object_get(js.shell_options, "pty")), 1);
    assert_string_equal(at(js.shell_options, "mpi"), "none");
    assert_string_equal(at(js.shell_options, "output.stdout.type"), "file");
    assert_string_equal(at(js.shell_options, "output.stdout.path"), "f.{{id}}");
    assert_string_equal(at(o, "attributes.user.x"), "y");
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(json_object_get(o, "attributes"), "system"), "foo")),
                     7);
    assert_string_equal(
        at(json_array_get(
               json_object_get(json_object_get(json_object_get(o, "attributes"), "system"),
                               "dependencies"),
               0),
           "scheme"),
        "afterok");
    jobspec_deinit(&js);
    json_decref(o);
}

static void cc_is_replaced_everywhere(void **state)
{
    struct jobspec js;
    json_t *o = BUILD("7", &js, "--cc=1-9", "-n{cc}", "--job-name=j{cc}", "--output={cc}.{cc}",
                      "--env=X={cc}", "app", "in.{cc}", "{c}{cc}");

    assert_int_equal(js.ntasks, 7);
    assert_string_equal(js.name, "j7");
    assert_string_equal(at(js.shell_options, "output.stdout.path"), "7.7");
    assert_string_equal(at(js.environment, "X"), "7");
    assert_string_equal(at(js.environment, "FLUX_JOB_CC"), "7");
    assert_string_equal(json_string_value(json_array_get(js.command, 1)), "in.7");
    assert_string_equal(json_string_value(json_array_get(js.command, 2)), "{c}7");
    jobspec_deinit(&js);
    json_decref(o);
}

static void without_cc_the_braces_stay(void **state)
{
    struct jobspec js;
    json_t *o = BUILD(NULL, &js, "app", "{cc}");

    assert_string_equal(json_string_value(json_array_get(js.command, 1)), "{cc}");
    assert_null(json_object_get(js.environment, "FLUX_JOB_CC"));
    jobspec_deinit(&js);
    json_decref(o);
}

static void wrong_options_are_refused(void **state)
{
    struct jobspec js;

    assert_null(BUILD(NULL, &js, "-n0", "app"));
    assert_null(BUILD(NULL, &js, "-nx", "app"));
    assert_null(BUILD(NULL, &js, "-N4", "-n2", "app"));
    assert_null(BUILD(NULL, &js, "-t", "5x", "app"));
    assert_null(BUILD(NULL, &js, "-x", "app"));
    assert_null(BUILD(NULL, &js, "--urgency=32", "app"));
    assert_null(BUILD(NULL, &js, "--flags=nosuch", "app"));
    assert_null(BUILD(NULL, &js, "--setattr=x", "app"));
    assert_null(BUILD(NULL, &js, "--dependency=after", "app"));
    assert_null(BUILD(NULL, &js, "--env=A=$NOSUCH", "app"));
}

/* What output events print. */
static char *output_of(bool label, const char *const events[][2])
{
    struct output_printer p;
    char *s = NULL;
    size_t size;
    FILE *f = open_memstream(&s, &size);

    output_printer_init(&p, label, f, f);
    for (; (*events)[0]; events++) {
        json_t *context = json_loads((*events)[1], 0, NULL);

        assert_int_equal(output_print(&p, (*events)[0], context), 0);
        json_decref(context);
    }
    fclose(f);
    return s;
}

static void output_is_printed_as_it_was_written(void **state)
{
    static const char *const events[][2] = {
        { "header", "{\"version\":1,\"encoding\":{\"stdout\":\"base64\",\"stderr\":\"UTF-8\"}}" },
        { "data", "{\"stream\":\"stdout\",\"rank\":\"0\",\"data\":\"bWVlcAo=\"}" },
        { "data", "{\"stream\":\"stderr\",\"rank\":\"0\",\"data\":\"err\\n\"}" },
        { "data", "{\"stream\":\"stdout\",\"rank\":\"0\",\"data\":\"x\",\"encoding\":\"UTF-8\"}" },
        { "data", "{\"stream\":\"stdout\",\"rank\":\"0\",\"eof\":true}" },
        { "redirect", "{\"stream\":\"stdout\",\"rank\":\"0\"}" },
        { NULL, NULL },
    };
    char *s = output_of(false, events);

    assert_string_equal(s, "meep\nerr\nx");
    free(s);
}

static void labelled_lines_belong_to_one_rank(void **state)
{
    static const char *const events[][2] = {
        { "data", "{\"stream\":\"stdout\",\"rank\":\"0\",\"data\":\"a\\nb\"}" },
        { "data", "{\"stream\":\"stdout\",\"rank\":\"0\",\"data\":\"c\"}" },
        { "data", "{\"stream\":\"stdout\",\"rank\":\"1\",\"data\":\"d\\n\"}" },
        { NULL, NULL },
    };
    char *s = output_of(true, events);

    assert_string_equal(s, "0: a\n0: bc\n1: d\n");
    free(s);
}

static void progress_counts_what_is_waited_for(void **state)
{
    struct progress_counts n = { .total = 20, .submitted = 20, .completed = 9, .failed = 1 };
    char buf[160];

    progress_format(buf, sizeof(buf), &n, 2, false);
    assert_string_equal(buf, "submitted 20/20 [####################] 100%");
    n.waiting = true;
    progress_format(buf, sizeof(buf), &n, 2, true);
    assert_string_equal(buf, "submitted 20/20, completed 9, failed 1 [##########----------]  50% "
                             "5.0 jobs/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_applied_in_order),
        cmocka_unit_test(rule_files_are_read),
        cmocka_unit_test(wrong_rules_are_refused),
        cmocka_unit_test(options_end_in_the_jobspec),
        cmocka_unit_test(cc_is_replaced_everywhere),
        cmocka_unit_test(without_cc_the_braces_stay),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(output_is_printed_as_it_was_written),
        cmocka_unit_test(labelled_lines_belong_to_one_rank),
        cmocka_unit_test(progress_counts_what_is_waited_for),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
