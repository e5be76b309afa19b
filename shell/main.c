/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-shell JOBID: runs the tasks of a job on this node. Started by flux-exec. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "config.h"
#include "forkserver.h"
#include "shell.h"

static const char usage[] =
    "Usage: flux-shell [OPTIONS] JOBID\n"
    "Run the tasks of a job on this node. Started by flux-exec, not by hand.\n"
    "  -h, --help       this text\n"
    "      --reconnect  survive a restart of the router (always so)\n"
    "      --version    print the version\n";

static const struct option options[] = {
    { FORKSERVER_OPTION, required_argument, NULL, 'f' }, /* between flux-exec and us */
    { "help", no_argument, NULL, 'h' },
    { "reconnect", no_argument, NULL, 'r' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

static int run(flux_jobid_t id)
{
    CLEANUP(shell_freep) struct shell *shell = NULL;
    flux_error_t error = { .text = "" };

    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (shell_new(id, &shell, &error) < 0) {
        (void)fprintf(stderr, "flux-shell: %" PRIu64 ": %s\n", id, error.text);
        return 1;
    }
    return shell_run(shell);
}

int main(int argc, char **argv)
{
    const char *server = NULL;
    flux_jobid_t id;
    int c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h' || c == 'V') {
            (void)fputs(c == 'h' ? usage : "flux-shell " FLUX_VERSION "\n", stdout);
            return 0;
        }
        if (c == 'f') {
            server = optarg;
        } else if (c != 'r') {
            (void)fputs(usage, stderr);
            return 1;
        }
    }
    if (server && strcmp(server, FORKSERVER_VERSION) != 0)
        return 1; /* of another version than flux-exec, which then executes us */
    if (server) {
        forkserver_run(argv, &id);
        return run(id);
    }
    if (optind != argc - 1 || flux_job_id_parse(argv[optind], &id) < 0) {
        (void)fprintf(stderr, "flux-shell: needs one job id\n%s", usage);
        return 1;
    }
    return run(id);
}
