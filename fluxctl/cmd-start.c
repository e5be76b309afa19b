/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl start: a single-user instance for as long as a command runs, by becoming flux-supervise,
 * which runs the daemons itself or has the user's own systemd run them. It does so itself inside an
 * enclosing instance, where no user manager runs, and on request. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/number.h"
#include "client.h"
#include "families.h"
#include "start.h"
#include "supervise/brokerargs.h"

#define UID_NOBODY    65534

#define TEST_SIZE_MAX 4096 /* of flux-supervise, too */

static const struct option start_options[] = {
    { 'o', "broker-opts", "OPTS", "options for flux-broker, separated by commas", 0 },
    { 'S', "setattr", "NAME=VALUE", "set an attribute of the instance", 0 },
    { 'c', "config-path", "DIR", "read the configuration (*.toml) in DIR", 0 },
    { 'v', "verbose", "LEVEL", "show what is executed", OPTION_OPTIONAL_ARG },
    { 'X', "noexec", NULL, "do not execute anything; most useful with -v", 0 },
    { 0, "embedded", NULL, "do not use your systemd, even if it runs", 0 },
    { 0, "rundir", "DIR", "run-time directory (default: a temporary one)", 0 },
    { 0, "statedir", "DIR", "keep the state of the instance in DIR", 0 },
    { 's', "test-size", "N", "start N nodes on this host", 0 },
    { 0, "test-hosts", "HOSTLIST", "names that the nodes are to think they have", 0 },
    { 0, "test-exit-timeout", "FSD", "kill nodes so long after the first has ended (20s)", 0 },
    { 0, "test-exit-mode", "MODE", "any (default): until a node ends; leader: until rank 0 does",
      0 },
    { 0, "wrap", "ARGS", "words, separated by commas, to run flux-broker with", 0 },
    { 0, "caliper-profile", "PROFILE", "not in this build", 0 },
    { 0, "test-rundir", "PATH", "run-time directory that exists, and is kept", 0 },
    { 0, "test-rundir-cleanup", NULL, "remove it in the end", 0 },
    { 0, "test-pmi-clique", "MODE", "single (default), or none: nodes are joined by TCP", 0 },
    { 0, "test-start-mode", "MODE", "all (default), or leader: start rank 0 only", 0 },
    { 0 },
};

/* ",--setattr=a=b,--verbose" -> words */
static int split_words(const char *s, char ***args)
{
    while (*s) {
        size_t len = strcspn(s, ",");
        int rc = len > 0 ? strv_take(args, strndup(s, len)) : 0;

        if (rc < 0)
            return rc;
        s += len;
        s += *s == ',';
    }
    return 0;
}

static int add_setattr(const char *assignment, char ***args)
{
    char *arg;

    if (asprintf(&arg, "--setattr=%s", assignment) < 0)
        return -ENOMEM;
    return strv_take(args, arg);
}

static int collect_broker_args(const struct cmdline *c, char ***args)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->nvalues; i++) {
        if (option_is(&c->values[i], "broker-opts"))
            rc = split_words(c->values[i].arg, args);
        else if (option_is(&c->values[i], "setattr"))
            rc = add_setattr(c->values[i].arg, args);
    }
    return rc;
}

/* The namespace that the enclosing instance gave its job, us, for those who go back (--parent). */
static int move_kvs_namespace(void)
{
    const char *ns = getenv("FLUX_KVS_NAMESPACE");

    if (ns ? setenv("FLUX_PARENT_KVS_NAMESPACE", ns, 1) < 0
           : unsetenv("FLUX_PARENT_KVS_NAMESPACE") < 0)
        return -errno;
    return unsetenv("FLUX_KVS_NAMESPACE") < 0 ? -errno : 0;
}

/* What the enclosing instance said about its job, us: its id under another name, and nothing that
 * jobs of the new instance could take for their own. */
static int move_job_variables(void)
{
    static const char *const names[] = { "FLUX_JOB_ID", "FLUX_JOB_SIZE", "FLUX_JOB_NNODES",
                                         "FLUX_TASK_RANK", "FLUX_TASK_LOCAL_ID" };
    const char *id = getenv("FLUX_JOB_ID");

    if (id ? setenv("FLUX_ENCLOSING_ID", id, 1) < 0 : unsetenv("FLUX_ENCLOSING_ID") < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        (void)unsetenv(names[i]);
    return 0;
}

/* What the daemons and the command inherit. */
static int set_environment(const struct start_options *o)
{
    const char *parent = getenv("FLUX_URI");
    const char *level = getenv("FLUX_INSTANCE_LEVEL");
    char buf[16];
    int n = 0, rc;

    if (o->layout.shell && setenv("FLUX_JOB_SHELL", o->layout.shell, 0) < 0)
        return -errno;
    if (!parent)
        return 0;
    if (level)
        (void)number_parse_int(level, 0, 1000, &n);
    (void)snprintf(buf, sizeof(buf), "%d", n + 1);
    if (setenv("FLUX_PARENT_URI", parent, 1) < 0 || setenv("FLUX_INSTANCE_LEVEL", buf, 1) < 0)
        return -errno;
    (void)unsetenv("FLUX_URI");
    rc = move_job_variables();
    return rc < 0 ? rc : move_kvs_namespace();
}

static void show(char *const *argv)
{
    fputs("flux-start:", stderr);
    for (size_t i = 0; argv[i]; i++)
        fprintf(stderr, " %s", argv[i]);
    fputc('\n', stderr);
}

static int add_option(char ***argv, const char *name, const char *value)
{
    char *arg;

    if (!value)
        return 0;
    if (asprintf(&arg, "--%s=%s", name, value) < 0)
        return -ENOMEM;
    return strv_take(argv, arg);
}

/* They have the same names there. */
static int add_test_options(char ***argv, const struct cmdline *c)
{
    static const char *const names[] = { "test-size",      "test-hosts",      "test-exit-timeout",
                                         "test-exit-mode", "test-start-mode", "test-pmi-clique" };
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names) && rc == 0; i++)
        rc = add_option(argv, names[i], cmdline_string(c, names[i], NULL));
    return rc;
}

static int add_wrap(char ***argv, const struct cmdline *c)
{
    CLEANUP(strv_freep) char **words = NULL;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->nvalues; i++)
        if (option_is(&c->values[i], "wrap"))
            rc = split_words(c->values[i].arg, &words);
    for (size_t i = 0; rc == 0 && words && words[i]; i++)
        rc = add_option(argv, "wrap", words[i]);
    return rc;
}

static int supervise_command(const struct start_options *o, char ***argv)
{
    int rc = strv_append(argv, o->layout.supervise);

    if (rc < 0 || (rc = add_option(argv, "units", o->layout.units)) < 0 ||
        (rc = add_option(argv, "exec-path", o->layout.exec_path)) < 0 ||
        (rc = add_option(argv, "rundir", o->rundir)) < 0 ||
        (rc = add_option(argv, "statedir", o->statedir)) < 0 ||
        (rc = add_option(argv, "config-path", o->confdir)) < 0 ||
        (rc = add_test_options(argv, o->c)) < 0 || (rc = add_wrap(argv, o->c)) < 0 ||
        (cmdline_has(o->c, "test-rundir-cleanup") &&
         (rc = strv_append(argv, "--rundir-cleanup")) < 0) ||
        (o->user_manager && (rc = strv_append(argv, "--user-manager")) < 0) ||
        (o->verbose > 0 && (rc = strv_append(argv, "--verbose")) < 0) ||
        (o->verbose > 1 && cmdline_has(o->c, "test-size") &&
         (rc = strv_append(argv, "--test-trace")) < 0))
        return rc;
    for (size_t i = 0; rc == 0 && o->broker_args && o->broker_args[i]; i++)
        rc = add_option(argv, "broker-arg", o->broker_args[i]);
    if (rc == 0)
        rc = strv_append(argv, "--");
    for (size_t i = 0; rc == 0 && o->argv[i]; i++)
        rc = strv_append(argv, o->argv[i]);
    return rc;
}

static int start(const struct start_options *o)
{
    CLEANUP(strv_freep) char **argv = NULL;

    if (supervise_command(o, &argv) < 0 || set_environment(o) < 0)
        return complain("out of memory");
    if (o->verbose)
        show(argv);
    if (o->noexec)
        return EXIT_SUCCESS;
    (void)execv(argv[0], argv);
    return complain("cannot execute %s: %s", argv[0], strerror(errno));
}

/* Does the user's own systemd run and listen? */
static bool user_manager_present(void)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    CLEANUP(freep) char *path = NULL;
    struct stat st;

    if (!dir || dir[0] != '/' || asprintf(&path, "%s/systemd/private", dir) < 0) {
        path = NULL;
        return false;
    }
    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid();
}

/* What somebody else has launched is his to account for and to end; and PMI does not reach a unit.
 */
static bool is_launched(void)
{
    static const char *const names[] = { "FLUX_URI", "PMI_FD", "PMI_LIBRARY", "PMI_RANK",
                                         "SLURM_JOB_ID" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (getenv(names[i]))
            return true;
    return false;
}

static bool use_user_manager(const struct cmdline *c)
{
    return !cmdline_has(c, "embedded") && !cmdline_has(c, "rundir") &&
           !cmdline_has(c, "test-size") && !cmdline_has(c, "wrap") && !is_launched() &&
           user_manager_present();
}

static int check_size(const struct cmdline *c)
{
    const char *size = cmdline_string(c, "test-size", "1");
    int n;

    if (number_parse_int(size, 1, TEST_SIZE_MAX, &n) < 0)
        return complain("--test-size=%s: expected a number of nodes, at most %d", size,
                        TEST_SIZE_MAX);
    return EXIT_SUCCESS;
}

/* Options that mean something only together. */
static int check_test_options(const struct cmdline *c)
{
    const char *dir = cmdline_string(c, "test-rundir", NULL);
    struct stat st;

    if (cmdline_has(c, "caliper-profile"))
        return complain("--caliper-profile: this Flux has no Caliper");
    if (!cmdline_has(c, "test-size") && (dir || cmdline_has(c, "test-pmi-clique")))
        return complain("--test-rundir and --test-pmi-clique need --test-size");
    if (cmdline_has(c, "test-rundir-cleanup") && !dir)
        return complain("--test-rundir-cleanup needs --test-rundir");
    if (dir && cmdline_has(c, "rundir"))
        return complain("--rundir and --test-rundir: one of them is enough");
    if (dir && (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)))
        return complain("--test-rundir=%s: there is no such directory", dir);
    return EXIT_SUCCESS;
}

/* -vv, or --verbose=2 */
static int verbosity(const struct cmdline *c)
{
    int level = 0;

    for (size_t i = 0; i < c->nvalues; i++) {
        int n;

        if (!option_is(&c->values[i], "verbose"))
            continue;
        if (!c->values[i].arg)
            level++;
        else if (number_parse_int(c->values[i].arg, 0, 9, &n) == 0)
            level = n;
    }
    return level;
}

/* Directories are made absolute: daemons run in /. */
static int absolute(const char *path, char **ret)
{
    *ret = NULL;
    if (!path)
        return EXIT_SUCCESS;
    if (path[0] == '/') {
        *ret = strdup(path);
    } else {
        CLEANUP(freep) char *cwd = getcwd(NULL, 0);

        if (!cwd || asprintf(ret, "%s/%s", cwd, path) < 0)
            *ret = NULL;
    }
    return *ret ? EXIT_SUCCESS : complain("%s: %s", path, strerror(errno));
}

/* Uids that name nobody are refused everywhere (wire/cred.h), by the daemons of an instance too. */
static int check_user(void)
{
    if (geteuid() == UID_NOBODY || geteuid() == (uid_t)-1)
        return complain("user %ju names nobody: an instance needs an owner who can be told apart "
                        "from others; start it as another user",
                        (uintmax_t)geteuid());
    return EXIT_SUCCESS;
}

/* What only an embedded instance can do, whose records are not in the journal. */
static bool wants_log_of_files(char *const *broker_args)
{
    static const char *const names[] = { "log-stderr-level", "log-critical-level",
                                         "log-forward-level", "log-filename" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (brokerargs_attr(broker_args, names[i]))
            return true;
    return false;
}

static int run_start(const struct cmdline *c)
{
    const char *shell = getenv("SHELL");
    char *interactive[] = { (char *)(shell && *shell ? shell : "/bin/sh"), NULL };
    CLEANUP(start_options_deinit)
    struct start_options o = { .c = c,
                               .verbose = verbosity(c),
                               .noexec = cmdline_has(c, "noexec") };

    o.argv = c->argc > 0 ? c->argv : interactive;
    if (check_user() != EXIT_SUCCESS || check_size(c) != EXIT_SUCCESS ||
        check_test_options(c) != EXIT_SUCCESS ||
        absolute(cmdline_string(c, "rundir", cmdline_string(c, "test-rundir", NULL)), &o.rundir) !=
            EXIT_SUCCESS ||
        absolute(cmdline_string(c, "statedir", NULL), &o.statedir) != EXIT_SUCCESS ||
        absolute(cmdline_string(c, "config-path", NULL), &o.confdir) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    if (collect_broker_args(c, &o.broker_args) < 0 || start_layout_find(&o.layout) < 0)
        return complain("out of memory");
    o.user_manager = use_user_manager(c) && !wants_log_of_files(o.broker_args);
    return start(&o);
}

const struct command cmd_start[] = {
    { .name = "start",
      .args = "[COMMAND [ARGS...]]",
      .summary = "Start an instance of your own and run a command (or a shell) in it",
      .options = start_options,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT,
      .run = run_start },
    { 0 },
};
