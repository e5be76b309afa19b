/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-supervise: runs an instance from the unit files, without systemd. See flux-supervise(8). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "service/log.h"
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
    OPT_USER,
    OPT_VERSION
};

static bool user_manager, verbose;

static const struct option options[] = {
    { "units", required_argument, NULL, OPT_UNITS },
    { "rundir", required_argument, NULL, OPT_RUNDIR },
    { "statedir", required_argument, NULL, OPT_STATEDIR },
    { "config-path", required_argument, NULL, OPT_CONFIG },
    { "exec-path", required_argument, NULL, OPT_EXEC },
    { "broker-arg", required_argument, NULL, OPT_BROKER },
    { "user-manager", no_argument, NULL, OPT_USER },
    { "verbose", no_argument, NULL, 'v' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, OPT_VERSION },
    { 0 },
};

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
    case OPT_USER:
        user_manager = true;
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
        fputs("Try 'flux-supervise --help'.\n", stderr);
        return -EINVAL;
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
    if (optind == argc) {
        fputs("flux-supervise: no program to run. Try 'flux-supervise --help'.\n", stderr);
        return -EINVAL;
    }
    o->argv = argv + optind;
    return 0;
}

static int run(const struct supervisor_options *opts)
{
    CLEANUP(supervisor_freep) struct supervisor *s = NULL;
    flux_error_t error = { "" };
    int status;

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

int main(int argc, char **argv)
{
    CLEANUP(strv_freep) char **broker_args = NULL;
    struct supervisor_options opts = { .units = FLUX_UNITDIR };
    int rc = parse_options(argc, argv, &opts);

    broker_args = opts.broker_args;
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    return user_manager ? userinstance_run(&opts, verbose) : run(&opts);
}
