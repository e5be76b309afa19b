/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl uri: the URI of an instance that is a job. */
#include <string.h>

#include "client.h"
#include "families.h"
#include "job-uri.h"

static int run_uri(const struct cmdline *c)
{
    CLEANUP(freep) char *uri = NULL;
    CLEANUP(freep) char *text = NULL;

    if (refuse_both(c, "local", "remote") < 0 ||
        !(uri = job_uri_parse(c->argv[0], cmdline_has(c, "wait"))))
        return EXIT_FAILURE;
    if (cmdline_has(c, "local"))
        text = uri_local(uri);
    else
        text = cmdline_has(c, "remote") ? strdup(uri) : uri_from_here(uri);
    if (!text)
        return complain("out of memory");
    puts(text);
    return EXIT_SUCCESS;
}

static const struct option uri_options[] = {
    { 0, "local", NULL, "As local://, whatever the host" },
    { 0, "remote", NULL, "As ssh://, even on this host" },
    { 0, "wait", NULL, "Wait until the job is an instance" },
    { 0 },
};

const struct command cmd_uri[] = {
    { .name = "uri",
      .args = "TARGET",
      .summary = "Print the URI of an instance that is a job",
      .options = uri_options,
      .min_args = 1,
      .max_args = 1,
      .run = run_uri },
    { 0 },
};
