/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "supervise/rundir.h"
#include "supervise/userunits.h"

static const struct unit_paths paths = { .rundir = "/run/user/7/flux/abc",
                                         .statedir = "/st",
                                         .logdir = "/lg" };

static struct units *make_units(void)
{
    static const char service[] =
        "[Unit]\nDescription=Store\n[Service]\nType=notify\nRestart=on-failure\n"
        "ExecStart=/usr/libexec/flux/flux-kvs --odd=%%t$x\nKillMode=process\n"
        "RestartSec=250ms\nKillSignal=SIGPWR\nRestartKillSignal=SIGTERM\n"
        "ProtectSystem=strict\n";
    static const char sock[] = "[Socket]\nListenSequentialPacket=%t/flux/node/kvs\n"
                               "FileDescriptorName=service\nSocketMode=0600\n";
    CLEANUP(unitfile_freep) struct unitfile *a = NULL;
    CLEANUP(unitfile_freep) struct unitfile *b = NULL;
    struct units *u = calloc(1, sizeof(*u));
    struct service_unit *svc;
    struct socket_unit *so;
    flux_error_t error;

    TAILQ_INIT(&u->services);
    TAILQ_INIT(&u->sockets);
    assert_int_equal(unitfile_parse(service, strlen(service), &a, &error), 0);
    assert_int_equal(service_unit_parse("flux-kvs", a, &paths, &svc, &error), 0);
    TAILQ_INSERT_TAIL(&u->services, svc, entry);
    assert_int_equal(unitfile_parse(sock, strlen(sock), &b, &error), 0);
    assert_int_equal(socket_unit_parse("flux-kvs", b, &paths, &so, &error), 0);
    TAILQ_INSERT_TAIL(&u->sockets, so, entry);
    svc->wanted = true;
    return u;
}

static void expect_line(const char *dir, const char *name, const char *line)
{
    CLEANUP(unitfile_freep) struct unitfile *uf = NULL;
    char path[256], buf[512];
    flux_error_t error;
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(unitfile_read(path, &uf, &error), 0); /* we read what we write */
    f = fopen(path, "r");
    while (fgets(buf, sizeof(buf), f)) {
        buf[strcspn(buf, "\n")] = '\0';
        found = found || strcmp(buf, line) == 0;
    }
    fclose(f);
    if (!found)
        fail_msg("%s lacks %s", name, line);
}

static void test_units_of_an_instance_carry_its_name_slice_and_target(void **state)
{
    CLEANUP(units_freep) struct units *u = make_units();
    char dir[] = "/tmp/test-userunits-XXXXXX";
    char *environment[] = { "A=b c", "COST=5$", NULL };
    struct userunits o = { .name = "abc", .dir = dir, .environment = environment };
    flux_error_t error;

    assert_non_null(mkdtemp(dir));
    assert_int_equal(userunits_write(u, &o, &error), 0);
    expect_line(dir, "flux-abc-kvs.socket", "ListenSequentialPacket=/run/user/7/flux/abc/node/kvs");
    expect_line(dir, "flux-abc-kvs.socket", "Service=flux-abc-kvs.service");
    expect_line(dir, "flux-abc-kvs.socket", "SocketMode=0600");
    expect_line(dir, "flux-abc-kvs.service", "Requires=flux-abc-kvs.socket");
    expect_line(dir, "flux-abc-kvs.service", "Slice=flux-abc.slice");
    expect_line(dir, "flux-abc-kvs.service",
                "ExecStart=\"/usr/libexec/flux/flux-kvs\" \"--odd=%%t$$x\"");
    expect_line(dir, "flux-abc-kvs.service", "Environment=\"A=b c\"");
    expect_line(dir, "flux-abc-kvs.service", "Environment=\"COST=5$\"");
    expect_line(dir, "flux-abc-kvs.service", "RestartSec=250000us");
    expect_line(dir, "flux-abc-kvs.service", "KillSignal=30");
    expect_line(dir, "flux-abc-kvs.service", "RestartKillSignal=15");
    expect_line(dir, "flux-abc-kvs.service", "KillMode=process");
    expect_line(dir, "flux-abc.target", "Requires=flux-abc-kvs.service");
    userunits_remove(u, &o);
    assert_int_equal(rmdir(dir), 0); /* nothing is left */
}

static void test_words_are_quoted_to_mean_themselves(void **state)
{
    CLEANUP(freep) char *q = userunits_quote("a \"b\" \\ %n $X\n");

    assert_string_equal(q, "\"a \\\"b\\\" \\\\ %%n $$X\\n\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units_of_an_instance_carry_its_name_slice_and_target),
        cmocka_unit_test(test_words_are_quoted_to_mean_themselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
