/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "supervise/rundir.h"
#include "supervise/unit.h"

static const struct unit_paths paths = { .rundir = "/run/x", .statedir = "/st", .logdir = "/lg" };

static int parse_service(const char *text, struct service_unit **ret, flux_error_t *error)
{
    CLEANUP(unitfile_freep) struct unitfile *uf = NULL;

    assert_int_equal(unitfile_parse(text, strlen(text), &uf, error), 0);
    return service_unit_parse("flux-kvs", uf, &paths, ret, error);
}

static int parse_socket(const char *text, struct socket_unit **ret, flux_error_t *error)
{
    CLEANUP(unitfile_freep) struct unitfile *uf = NULL;

    assert_int_equal(unitfile_parse(text, strlen(text), &uf, error), 0);
    return socket_unit_parse("flux-kvs", uf, &paths, ret, error);
}

static void test_a_service_is_read_with_all_keys_that_matter(void **state)
{
    CLEANUP(service_unit_freep) struct service_unit *u = NULL;
    flux_error_t error;

    assert_int_equal(
        parse_service(
            "[Unit]\nDescription=Key-value store\n[Service]\n"
            "ExecStart=-/usr/libexec/flux/flux-kvs --dir=%t/flux/a %%x\n"
            "Environment=FLUX_RUNDIR=%t/flux \"B=c d\"\nEnvironment=E=%S/flux\n"
            "Type=notify\nRestart=on-failure\nRestartSec=250ms\n"
            "WatchdogSec=30\nTimeoutStopSec=5\nTimeoutAbortSec=300ms\nFileDescriptorStoreMax=7\n"
            "KillSignal=SIGPWR\nRestartKillSignal=SIGHUP\n"
            "ProtectSystem=strict\nUnheardOf=yes\n"
            "[Install]\nWantedBy=flux.target\n",
            &u, &error),
        0);
    assert_string_equal(u->description, "Key-value store");
    assert_string_equal(u->argv[0], "/usr/libexec/flux/flux-kvs");
    assert_string_equal(u->argv[1], "--dir=/run/x/a");
    assert_string_equal(u->argv[2], "%x");
    assert_null(u->argv[3]);
    assert_string_equal(u->environment[0], "FLUX_RUNDIR=/run/x");
    assert_string_equal(u->environment[1], "B=c d");
    assert_string_equal(u->environment[2], "E=/st");
    assert_int_equal(u->restart, UNIT_RESTART_ON_FAILURE);
    assert_int_equal(u->restart_usec, 250000);
    assert_int_equal(u->watchdog_usec, 30000000);
    assert_int_equal(u->stop_usec, 5000000);
    assert_int_equal(u->abort_usec, 300000);
    assert_int_equal(u->fdstore_max, 7);
    assert_int_equal(u->kill_signal, SIGPWR);
    assert_int_equal(u->restart_signal, SIGHUP);
    assert_true(u->notify && u->wanted);
}

static void test_a_service_has_the_defaults_of_systemd(void **state)
{
    CLEANUP(service_unit_freep) struct service_unit *u = NULL;
    flux_error_t error;

    assert_int_equal(parse_service("[Service]\nExecStart=/bin/true\n", &u, &error), 0);
    assert_int_equal(u->restart, UNIT_RESTART_NO);
    assert_int_equal(u->restart_usec, 100000);
    assert_int_equal(u->watchdog_usec, 0);
    assert_int_equal(u->kill_signal, SIGTERM);
    assert_int_equal(u->restart_signal, SIGTERM);
    assert_false(u->notify);
    assert_false(u->wanted);
}

static void test_a_service_with_nonsense_is_refused_by_name(void **state)
{
    static const char *const wrong[] = {
        "[Service]\nType=notify\n",
        "[Service]\nExecStart=relative\n",
        "[Service]\nExecStart=/bin/true\nRestart=maybe\n",
        "[Service]\nExecStart=/bin/true\nKillSignal=PWR\n",
        "[Service]\nExecStart=/bin/true\nRestartKillSignal=SIGNAL\n",
        "[Service]\nExecStart=/bin/true\nWatchdogSec=soon\n",
        "[Service]\nExecStart=/bin/true\nType=forking\n",
        "[Service]\nExecStart=/bin/true %t/other\n",
        "[Service]\nExecStart=/bin/true %q\n",
        "[Service]\nExecStart=/bin/true \"open\n",
        "[Service]\nExecStart=/bin/true\nEnvironment=NOVALUE\n",
        "[Service]\nExecStart=/bin/true\nFileDescriptorStoreMax=-1\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct service_unit *u;
        flux_error_t error = { "" };

        assert_int_equal(parse_service(wrong[i], &u, &error), -EINVAL);
        assert_true(strlen(error.text) > 10);
    }
}

static void test_a_socket_is_read_with_its_links_mode_and_name(void **state)
{
    CLEANUP(socket_unit_freep) struct socket_unit *u = NULL;
    flux_error_t error;

    assert_int_equal(parse_socket("[Socket]\nListenSequentialPacket=%t/flux/node/kvs\n"
                                  "Symlinks=%t/flux/node/kvs-watch\nSocketMode=0600\n"
                                  "FileDescriptorName=service\nService=flux-kvs.service\n",
                                  &u, &error),
                     0);
    assert_string_equal(u->listen[0], "/run/x/node/kvs");
    assert_string_equal(u->symlinks[0], "/run/x/node/kvs-watch");
    assert_int_equal(u->mode, 0600);
    assert_string_equal(u->fdname, "service");
    assert_string_equal(u->service, "flux-kvs");
}

static void test_a_socket_with_nonsense_is_refused(void **state)
{
    static const char *const wrong[] = {
        "[Socket]\n",
        "[Socket]\nListenSequentialPacket=@abstract\n",
        "[Socket]\nListenSequentialPacket=/a\nSocketMode=0999\n",
        "[Socket]\nListenSequentialPacket=/a\nSocketMode=10000\n",
        "[Socket]\nListenSequentialPacket=/a\nService=flux-kvs.socket\n",
        "[Socket]\nListenSequentialPacket=/a\nFileDescriptorName=a:b\n",
        "[Socket]\nListenSequentialPacket=/a\nAccept=yes\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct socket_unit *u;
        flux_error_t error;

        assert_int_equal(parse_socket(wrong[i], &u, &error), -EINVAL);
    }
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static void test_a_directory_is_loaded_and_its_target_wants_services(void **state)
{
    CLEANUP(units_freep) struct units *u = NULL;
    char dir[] = "/tmp/test-unit-XXXXXX";
    flux_error_t error;

    assert_non_null(mkdtemp(dir));
    assert_int_equal(units_load(dir, &paths, &u, &error), -ENOENT);
    write_file(dir, "flux-a.service", "[Service]\nExecStart=/bin/a\n");
    write_file(dir, "flux-b.service", "[Service]\nExecStart=/bin/b\n");
    write_file(dir, "flux-imp@.service", "[Service]\nnot read at all\n");
    write_file(dir, "flux-imp.socket", "[Socket]\nListenStream=/x\nAccept=yes\n");
    write_file(dir, "other.service", "not read at all");
    assert_int_equal(units_load(dir, &paths, &u, &error), -ENOENT);
    assert_non_null(strstr(error.text, "flux.target"));
    write_file(dir, "flux.target", "[Unit]\nWants=flux-b.service flux-c.service a.socket\n");
    assert_int_equal(units_load(dir, &paths, &u, &error), 0);
    assert_false(units_find_service(u, "flux-a")->wanted);
    assert_true(units_find_service(u, "flux-b")->wanted);
    assert_null(units_find_service(u, "flux-imp@"));
    assert_true(TAILQ_EMPTY(&u->sockets));
    u = units_free(u);
    write_file(dir, "flux-d.socket", "[Socket]\nListenSequentialPacket=/x\n");
    assert_int_equal(units_load(dir, &paths, &u, &error), -ENOENT);
    assert_non_null(strstr(error.text, "flux-d.service"));
    write_file(dir, "flux-d.socket", "[Socket\n");
    assert_int_equal(units_load(dir, &paths, &u, &error), -EINVAL);
    assert_non_null(strstr(error.text, "flux-d.socket: line 1"));
    rundir_remove(dir);
}

static void test_a_template_is_instantiated_by_name(void **state)
{
    CLEANUP(units_freep) struct units *u = NULL;
    CLEANUP(service_unit_freep) struct service_unit *svc = NULL;
    static const char *const wrong[] = { "flux-module@",
                                         "flux-module@../x",
                                         "flux-module@a b",
                                         "flux-module@a@b",
                                         "flux-imp@x",
                                         "flux-kvs",
                                         "" };
    char dir[] = "/tmp/test-unit-XXXXXX";
    flux_error_t error;

    assert_non_null(mkdtemp(dir));
    write_file(dir, "flux-a.service", "[Service]\nExecStart=/bin/a\n");
    write_file(dir, "flux.target", "[Unit]\n");
    assert_int_equal(units_instantiate(dir, "flux-module@x", &paths, &svc, &error), -ENOENT);
    write_file(dir, "flux-module@.service",
               "[Service]\nExecStart=/bin/m %i\nRestart=on-failure\n"
               "RestartPreventExitStatus=1 2 255\n");
    assert_int_equal(units_instantiate(dir, "flux-module@hello-2", &paths, &svc, &error), 0);
    assert_string_equal(svc->name, "flux-module@hello-2");
    assert_string_equal(svc->argv[1], "hello-2");
    assert_true(svc->final_statuses[0] == 6 && svc->final_statuses[3] == 1ull << 63);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct service_unit *none;

        assert_int_equal(units_instantiate(dir, wrong[i], &paths, &none, &error), -EINVAL);
    }
    assert_int_equal(units_load(dir, &paths, &u, &error), 0);
    assert_null(units_find_service(u, "flux-module@"));
    assert_string_equal(TAILQ_FIRST(&u->templates)->argv[1], "%i");
    write_file(dir, "flux-module@.service",
               "[Service]\nExecStart=/bin/m\nRestartPreventExitStatus=SIGKILL\n");
    u = units_free(u);
    assert_int_equal(units_load(dir, &paths, &u, &error), -EINVAL);
    rundir_remove(dir);
}

static void test_a_runtime_directory_others_can_enter_is_refused(void **state)
{
    CLEANUP(freep) char *path = NULL;
    char dir[] = "/tmp/test-unit-XXXXXX";
    flux_error_t error;
    bool made;

    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(rundir_make(dir, &path, &made, &error), -EPERM);
    assert_int_equal(rundir_make("relative", &path, &made, &error), -EINVAL);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(rundir_make(dir, &path, &made, &error), 0);
    assert_false(made);
    rundir_remove(dir);
    assert_int_equal(access(dir, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_service_is_read_with_all_keys_that_matter),
        cmocka_unit_test(test_a_service_has_the_defaults_of_systemd),
        cmocka_unit_test(test_a_service_with_nonsense_is_refused_by_name),
        cmocka_unit_test(test_a_socket_is_read_with_its_links_mode_and_name),
        cmocka_unit_test(test_a_socket_with_nonsense_is_refused),
        cmocka_unit_test(test_a_directory_is_loaded_and_its_target_wants_services),
        cmocka_unit_test(test_a_template_is_instantiated_by_name),
        cmocka_unit_test(test_a_runtime_directory_others_can_enter_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
