/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Clients are child processes of their own: the environment tells them what they are. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testing.h"
#include "pmi/client.h"
#include "pmi/server.h"

#define N 3

static void clear_environment(void)
{
    static const char *const names[] = { "PMI_FD",       "PMI_RANK",
                                         "PMI_SIZE",     "PMI_LIBRARY",
                                         "SLURM_PROCID", "SLURM_STEP_ID",
                                         "SLURM_STEPID", "SLURM_STEP_NUM_TASKS",
                                         "SLURM_NTASKS" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unsetenv(names[i]);
}

static void set_number(const char *name, int value)
{
    char buf[16];

    snprintf(buf, sizeof(buf), "%d", value);
    setenv(name, buf, 1);
}

/* --- a server over socketpairs --- */

struct world {
    struct pmi_server *server;
    int fds[N]; /* the server's ends */
    struct pmi_reader readers[N];
};

static int on_send(uint32_t rank, const char *line, void *arg)
{
    struct world *w = arg;

    return send(w->fds[rank], line, strlen(line), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Until all clients have closed. */
static void serve(struct world *w)
{
    struct pollfd p[N];
    char line[PMI_LINE_MAX];
    size_t len, open = N;

    for (int i = 0; i < N; i++)
        p[i] = (struct pollfd){ .fd = w->fds[i], .events = POLLIN };
    while (open > 0) {
        assert_true(poll(p, N, 30000) > 0);
        for (uint32_t i = 0; i < N; i++) {
            if (!p[i].revents)
                continue;
            if (pmi_reader_fill(&w->readers[i], p[i].fd) == 0) {
                p[i].fd = -1;
                open--;
            }
            while (pmi_reader_line(&w->readers[i], line, &len) > 0)
                assert_int_equal(pmi_server_request(w->server, i, line, NULL), 0);
        }
    }
}

static void put_get_and_finalize(struct pmi_client *c)
{
    char key[32], value[64], buf[PMI_VALUE_MAX];
    flux_error_t error = { "" };

    snprintf(key, sizeof(key), "uri.%d", pmi_client_rank(c));
    snprintf(value, sizeof(value), "ipc:///tmp/%d", pmi_client_rank(c));
    assert_int_equal(pmi_client_put(c, key, value, &error), 0);
    assert_int_equal(pmi_client_barrier(c, &error), 0);
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "uri.%d", i);
        snprintf(value, sizeof(value), "ipc:///tmp/%d", i);
        assert_int_equal(pmi_client_get(c, key, buf, sizeof(buf), &error), 0);
        assert_string_equal(buf, value);
        assert_int_equal(pmi_client_get(c, key, buf, strlen(value), &error), -EMSGSIZE);
    }
    assert_int_equal(pmi_client_get(c, "other", buf, sizeof(buf), &error), -ENOENT);
    assert_int_equal(pmi_client_put(c, "uri.0", "x", &error), -EREMOTEIO);
    assert_non_null(strstr(error.text, "duplicate_key"));
    assert_int_equal(pmi_client_put(c, "k", "a b", &error), -EINVAL);
    assert_int_equal(pmi_client_put(c, "a=b", "c", &error), -EINVAL);
    memset(buf, 'x', sizeof(buf) - 1);
    buf[sizeof(buf) - 1] = '\0';
    assert_int_equal(pmi_client_put(c, buf, "x", &error), -EMSGSIZE);
    assert_int_equal(pmi_client_finalize(c, &error), 0);
}

/* An assertion that fails ends the child with a status other than 0. */
static pid_t fork_client(int rank, int fd)
{
    const pid_t pid = fork();
    struct pmi_client *c;
    flux_error_t error = { "" };

    if (pid != 0)
        return pid;
    set_number("PMI_FD", fd);
    set_number("PMI_RANK", rank);
    set_number("PMI_SIZE", N);
    if (pmi_client_new(&c, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        _exit(1);
    }
    assert_int_equal(pmi_client_rank(c), rank);
    assert_int_equal(pmi_client_size(c), N);
    assert_int_equal(pmi_client_value_max(c), PMI_VALUE_MAX);
    assert_string_equal(pmi_client_name(c), "kvs");
    assert_string_equal(pmi_client_how(c), "PMI_FD");
    put_get_and_finalize(c);
    pmi_client_free(c);
    _exit(0);
}

static void test_what_each_puts_all_get_after_the_barrier(void **state)
{
    struct world w = { 0 };
    const struct pmi_server_options o = {
        .size = N, .kvsname = "kvs", .ops = { .send = on_send }, .arg = &w
    };
    int pairs[N][2], status;
    pid_t pids[N];

    clear_environment();
    assert_int_equal(pmi_server_new(&o, &w.server), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
    for (int i = 0; i < N; i++)
        pids[i] = fork_client(i, pairs[i][1]);
    for (int i = 0; i < N; i++) {
        close(pairs[i][1]);
        w.fds[i] = pairs[i][0];
    }
    serve(&w);
    for (int i = 0; i < N; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        close(pairs[i][0]);
    }
    w.server = pmi_server_free(w.server);
}

/* --- servers that misbehave: their answers lie ready --- */

static int client_of(const char *answers, flux_error_t *error)
{
    struct pmi_client *c = NULL;
    int pair[2], rc;

    clear_environment();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(send(pair[0], answers, strlen(answers), 0), strlen(answers));
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    set_number("PMI_FD", pair[1]);
    set_number("PMI_RANK", 0);
    set_number("PMI_SIZE", 1);
    rc = pmi_client_new(&c, error);
    pmi_client_free(c);
    close(pair[0]);
    return rc;
}

#define INIT_OK "cmd=response_to_init rc=0 pmi_version=1 pmi_subversion=1\n"
#define MAXES   "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024\n"

static void test_servers_that_talk_nonsense_or_go_away_are_errors(void **state)
{
    static const struct {
        const char *answers;
        int rc;
    } cases[] = {
        { "", -ECONNRESET },
        { "cmd=response_to_i", -ECONNRESET },
        { "\1\n", -EPROTO },
        { "cmd=barrier_out\n", -EPROTO },
        { "rc=0\n", -EPROTO },
        { "cmd=response_to_init rc=x\n", -EPROTO },
        { "cmd=response_to_init rc=-1\n", -EREMOTEIO },
        { INIT_OK "cmd=maxes keylen_max=2 vallen_max=1024\n", -EPROTO },
        { INIT_OK "cmd=maxes vallen_max=1024\n", -EPROTO },
        { INIT_OK MAXES "cmd=my_kvsname\n", -EPROTO },
        { INIT_OK MAXES "cmd=my_kvsname kvsname=\n", -EPROTO },
        { INIT_OK MAXES "cmd=my_kvsname kvsname=k\n", 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        flux_error_t error = { "" };

        assert_int_equal(client_of(cases[i].answers, &error), cases[i].rc);
        assert_int_equal(error.text[0] != '\0', cases[i].rc != 0);
    }
}

static void test_an_environment_that_makes_no_sense_is_an_error(void **state)
{
    struct pmi_client *c = NULL;
    flux_error_t error;

    clear_environment();
    setenv("PMI_FD", "x", 1);
    assert_int_equal(pmi_client_new(&c, &error), -EBADF);
    setenv("PMI_FD", "987654", 1);
    assert_int_equal(pmi_client_new(&c, &error), -EBADF);
    set_number("PMI_FD", fcntl(STDIN_FILENO, F_DUPFD, 3));
    assert_int_equal(pmi_client_new(&c, &error), -EPROTO);
    assert_non_null(strstr(error.text, "PMI_RANK"));
    assert_null(c);
}

/* --- no server, or a library --- */

static void test_without_pmi_we_are_alone(void **state)
{
    struct pmi_client *c = NULL;
    flux_error_t error;

    clear_environment();
    assert_int_equal(pmi_client_new(&c, &error), -ENOENT);
    setenv("SLURM_PROCID", "0", 1); /* a batch script, outside a step */
    setenv("SLURM_NTASKS", "8", 1);
    assert_int_equal(pmi_client_new(&c, &error), -ENOENT);
}

static void test_a_library_that_is_asked_for_must_be_there(void **state)
{
    struct pmi_client *c = NULL;
    flux_error_t error = { "" };

    clear_environment();
    setenv("PMI_LIBRARY", "/nonexistent/libpmi.so", 1);
    assert_int_equal(pmi_client_new(&c, &error), -ELIBACC);
    assert_non_null(strstr(error.text, "/nonexistent/libpmi.so"));
    setenv("PMI_LIBRARY", "libm.so.6", 1);
    assert_int_equal(pmi_client_new(&c, &error), -ELIBACC);
    assert_non_null(strstr(error.text, "not a PMI library"));
}

static void use_library(const char *path, const char *name, int rank, int size)
{
    struct pmi_client *c = NULL;
    char buf[PMI_VALUE_MAX];
    flux_error_t error = { "" };

    clear_environment();
    setenv("PMI_LIBRARY", path, 1);
    assert_int_equal(pmi_client_new(&c, &error), 0);
    assert_int_equal(pmi_client_rank(c), rank);
    assert_int_equal(pmi_client_size(c), size);
    assert_string_equal(pmi_client_name(c), name);
    assert_string_equal(pmi_client_how(c), path);
    assert_int_equal(pmi_client_put(c, "key", "some=value", &error), 0);
    assert_int_equal(pmi_client_barrier(c, &error), 0);
    assert_int_equal(pmi_client_get(c, "key", buf, sizeof(buf), &error), 0);
    assert_string_equal(buf, "some=value");
    assert_int_equal(pmi_client_get(c, "other", buf, sizeof(buf), &error), -ENOENT);
    assert_int_equal(pmi_client_finalize(c, &error), 0);
    pmi_client_free(c);
}

/* A file that the processes of fake-pmi1.c leave in their directory. */
static void with_file(const char *dir, const char *name, bool leave)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (leave)
        assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    else
        assert_int_equal(unlink(path), 0);
}

static void test_libraries_of_pmi_1_and_2_do(void **state)
{
    static const char *const names[] = { "barrier-1-0", "barrier-1-2", "barrier-1-1", "key" };
    char dir[] = "/tmp/flux-test-pmi.XXXXXX";

    assert_non_null(mkdtemp(dir));
    setenv("FAKE_PMI_DIR", dir, 1);
    set_number("FAKE_PMI_RANK", 1);
    set_number("FAKE_PMI_SIZE", 3);
    for (size_t i = 0; i < 2; i++)
        with_file(dir, names[i], true); /* the two others are at the barrier */
    use_library(getenv("FAKE_PMI1"), "fake1", 1, 3);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        with_file(dir, names[i], false);
    assert_int_equal(rmdir(dir), 0);
    use_library(getenv("FAKE_PMI2"), "fake2", 0, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_each_puts_all_get_after_the_barrier),
        cmocka_unit_test(test_servers_that_talk_nonsense_or_go_away_are_errors),
        cmocka_unit_test(test_an_environment_that_makes_no_sense_is_an_error),
        cmocka_unit_test(test_without_pmi_we_are_alone),
        cmocka_unit_test(test_a_library_that_is_asked_for_must_be_there),
        cmocka_unit_test(test_libraries_of_pmi_1_and_2_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
