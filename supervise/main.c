/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-supervise: runs an instance from the unit files, without systemd. See flux-supervise(8). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include <flux/hostlist.h>
#include "base/fsd.h"
#include "base/number.h"
#include "service/log.h"
#include "supervise/cluster.h"
#include "supervise/launcher.h"
#include "supervise/startlog.h"
#include "supervise/supervisor.h"
#include "supervise/userinstance.h"

static const char usage[] =
    "Usage: flux-supervise [OPTIONS] [--] PROGRAM [ARGS...]\n"
    "Run a Flux instance from its unit files for as long as PROGRAM runs.\n"
    "\n"
    "  --units=DIR        unit files (default " FLUX_UNITDIR ")\n"
    "  --rundir=DIR       run-time directory (default: a temporary one)\n"
    "  --statedir=DIR     state that is kept (default: nothing is kept)\n"
    "  --config-path=DIR  configuration, FLUX_CONF_DIR of the daemons\n"
    "  --exec-path=DIRS   directories, separated by colons, to search for daemons first\n"
    "  --broker-arg=ARG   append ARG to the command line of flux-broker; may be repeated\n"
    "  --wrap=WORD        put WORD before that command line; may be repeated\n"
    "  --rundir-cleanup   remove the run-time directory at the end in any case\n"
    "  --no-program       run no program: until flux-broker ends in good order\n"
    "  --test-size=N      N nodes on this host; PROGRAM runs on the first\n"
    "  --test-hosts=HOSTS        names the nodes are to think they have\n"
    "  --test-exit-timeout=FSD   kill nodes so long after the first has ended (default 20s)\n"
    "  --test-exit-mode=MODE     any: until any node ends (default); leader: until rank 0 does\n"
    "  --test-start-mode=MODE    all (default); leader: start rank 0 only\n"
    "  --test-pmi-clique=MODE    single (default); none: PMI does not say that all are here\n"
    "  --test-trace       show PMI requests\n"
    "  --user-manager     have the daemons run by your own systemd\n"
    "  -v, --verbose      log what is started and stopped\n"
    "  -h, --help         show this text\n"
    "      --version      show the version\n";

enum {
    OPT_UNITS = 256,
    OPT_RUNDIR,
    OPT_STATEDIR,
    OPT_CONFIG,
    OPT_EXEC,
    OPT_BROKER,
    OPT_WRAP,
    OPT_CLEANUP,
    OPT_TEST_CLIQUE,
    OPT_USER,
    OPT_NO_PROGRAM,
    OPT_TEST_SIZE,
    OPT_TEST_HOSTS,
    OPT_TEST_TIMEOUT,
    OPT_TEST_EXIT,
    OPT_TEST_START,
    OPT_TEST_TRACE,
    OPT_VERSION
};

#define TEST_SIZE_MAX 4096

static bool user_manager, verbose, no_program;
static const char *test_hosts;
static struct cluster_options cluster = { .exit_timeout = 20. };

static const struct option options[] = {
    { "units", required_argument, NULL, OPT_UNITS },
    { "rundir", required_argument, NULL, OPT_RUNDIR },
    { "statedir", required_argument, NULL, OPT_STATEDIR },
    { "config-path", required_argument, NULL, OPT_CONFIG },
    { "exec-path", required_argument, NULL, OPT_EXEC },
    { "broker-arg", required_argument, NULL, OPT_BROKER },
    { "wrap", required_argument, NULL, OPT_WRAP },
    { "rundir-cleanup", no_argument, NULL, OPT_CLEANUP },
    { "test-pmi-clique", required_argument, NULL, OPT_TEST_CLIQUE },
    { "no-program", no_argument, NULL, OPT_NO_PROGRAM },
    { "test-size", required_argument, NULL, OPT_TEST_SIZE },
    { "test-hosts", required_argument, NULL, OPT_TEST_HOSTS },
    { "test-exit-timeout", required_argument, NULL, OPT_TEST_TIMEOUT },
    { "test-exit-mode", required_argument, NULL, OPT_TEST_EXIT },
    { "test-start-mode", required_argument, NULL, OPT_TEST_START },
    { "test-trace", no_argument, NULL, OPT_TEST_TRACE },
    { "user-manager", no_argument, NULL, OPT_USER },
    { "verbose", no_argument, NULL, 'v' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, OPT_VERSION },
    { 0 },
};

static int bad_value(const char *option, const char *expected)
{
    fprintf(stderr, "flux-supervise: --%s=%s: expected %s\n", option, optarg, expected);
    return -EINVAL;
}

/* One of two words; true: the second. */
static int parse_mode(const char *option, const char *no, const char *yes, bool *ret)
{
    if (strcmp(optarg, no) != 0 && strcmp(optarg, yes) != 0) {
        fprintf(stderr, "flux-supervise: --%s=%s: expected %s or %s\n", option, optarg, no, yes);
        return -EINVAL;
    }
    *ret = strcmp(optarg, yes) == 0;
    return 0;
}

static int handle_test_option(int c)
{
    int n;

    switch (c) {
    case OPT_TEST_SIZE:
        if (number_parse_int(optarg, 1, TEST_SIZE_MAX, &n) < 0)
            return bad_value("test-size", "a number of nodes, at most 4096");
        cluster.size = (uint32_t)n;
        return 0;
    case OPT_TEST_HOSTS:
        test_hosts = optarg;
        return 0;
    case OPT_TEST_TIMEOUT:
        return fsd_parse(optarg, &cluster.exit_timeout) < 0
                   ? bad_value("test-exit-timeout", "a duration, such as 5s")
                   : 0;
    case OPT_TEST_EXIT:
        return parse_mode("test-exit-mode", "any", "leader", &cluster.exit_leader);
    case OPT_TEST_START:
        return parse_mode("test-start-mode", "all", "leader", &cluster.leader_only);
    case OPT_TEST_CLIQUE:
        return parse_mode("test-pmi-clique", "single", "none", &cluster.no_clique);
    case OPT_TEST_TRACE:
        cluster.trace = true;
        return 0;
    default:
        fputs("Try 'flux-supervise --help'.\n", stderr);
        return -EINVAL;
    }
}

/* 0: go on; 1: done; negative: bad usage. */
static int handle_option(int c, struct supervisor_options *o)
{
    switch (c) {
    case OPT_UNITS:
        o->units = optarg;
        return 0;
    case OPT_RUNDIR:
        o->rundir = optarg;
        return 0;
    case OPT_STATEDIR:
        o->statedir = optarg;
        return 0;
    case OPT_CONFIG:
        o->confdir = optarg;
        return 0;
    case OPT_EXEC:
        o->exec_path = optarg;
        return 0;
    case OPT_BROKER:
        return strv_append(&o->broker_args, optarg);
    case OPT_WRAP:
        return strv_append(&o->wrap, optarg);
    case OPT_CLEANUP:
        o->remove_rundir = true;
        return 0;
    case OPT_USER:
        user_manager = true;
        return 0;
    case OPT_NO_PROGRAM:
        no_program = true;
        return 0;
    case 'v':
        verbose = true;
        log_set_level(LOG_DEBUG);
        return 0;
    case 'h':
        fputs(usage, stdout);
        return 1;
    case OPT_VERSION:
        puts("flux-supervise " FLUX_VERSION);
        return 1;
    default:
        return handle_test_option(c);
    }
}

static int parse_options(int argc, char **argv, struct supervisor_options *o)
{
    int c, rc;

    while ((c = getopt_long(argc, argv, "+vh", options, NULL)) != -1) {
        rc = handle_option(c, o);
        if (rc != 0)
            return rc;
    }
    if (no_program)
        return 0;
    if (optind == argc) {
        fputs("flux-supervise: no program to run. Try 'flux-supervise --help'.\n", stderr);
        return -EINVAL;
    }
    o->argv = argv + optind;
    return 0;
}

static int run(struct supervisor_options *opts)
{
    CLEANUP(supervisor_freep) struct supervisor *s = NULL;
    flux_error_t error = { "" };
    int status;

    if (launcher_says_follower())
        opts->argv = NULL; /* the program runs on the first */
    if (supervisor_new(opts, &s, &error) < 0) {
        fprintf(stderr, "flux-supervise: %s\n", error.text);
        return EXIT_FAILURE;
    }
    status = supervisor_run(s, &error);
    if (error.text[0]) {
        fprintf(stderr, "flux-supervise: %s\n", error.text);
        startlog_print(supervisor_logdir(s), stderr);
    }
    return status;
}

static int run_cluster(const struct supervisor_options *opts)
{
    CLEANUP(strv_freep) char **hosts = NULL;
    struct hostlist *hl = test_hosts ? hostlist_decode(test_hosts) : NULL;

    for (int i = 0; hl && i < (int)hostlist_count(hl); i++)
        if (strv_append(&hosts, hostlist_nth(hl, i)) < 0)
            break;
    hostlist_destroy(hl);
    if (test_hosts && (!hosts || strv_count(hosts) < cluster.size)) {
        fprintf(stderr, "flux-supervise: --test-hosts=%s: expected the names of %u hosts\n",
                test_hosts, cluster.size);
        return 2;
    }
    cluster.hosts = hosts;
    return cluster_run(opts, &cluster);
}

int main(int argc, char **argv)
{
    CLEANUP(strv_freep) char **broker_args = NULL;
    CLEANUP(strv_freep) char **wrap = NULL;
    struct supervisor_options opts = { .units = FLUX_UNITDIR };
    int rc = parse_options(argc, argv, &opts);

    broker_args = opts.broker_args;
    wrap = opts.wrap;
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    if (cluster.size > 0)
        return run_cluster(&opts);
    return user_manager ? userinstance_run(&opts, verbose) : run(&opts);
}
