/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job memo: notes of a user about a job, in its annotations below "user". */
#include <string.h>

#include "base/jobspec.h"
#include "client.h"
#include "families.h"
#include "job-open.h"

/* KEY=VAL, the key with dots for what is below; null removes. */
static int add(json_t *memo, const char *arg)
{
    const char *equals = strchr(arg, '=');
    CLEANUP(freep) char *key = equals ? strndup(arg, (size_t)(equals - arg)) : NULL;
    json_t *value = key ? parse_value(equals + 1) : NULL;

    if (!equals)
        return complain("'%s' is not of the form KEY=VALUE", arg);
    if (!value || jobspec_set(memo, key, value) < 0)
        return complain("cannot set '%s'", key);
    return EXIT_SUCCESS;
}

static int run_memo(const struct cmdline *c)
{
    CLEANUP(json_decrefp) json_t *memo = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(flux_closep) flux_t *h = NULL;
    flux_jobid_t id;
    char what[128];

    if (!memo)
        return complain("out of memory");
    for (int i = 1; i < c->argc; i++)
        if (add(memo, c->argv[i]) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    if (!(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    snprintf(what, sizeof(what), "note that of job %s", jobid_text(id));
    answer = client_call(h, "job-manager.memo",
                         json_pack("{s:I s:O s:b}", "id", (json_int_t)id, "memo", memo, "volatile",
                                   cmdline_has(c, "volatile")),
                         what);
    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const struct option memo_options[] = {
    { 0, "volatile", NULL, "Not to be kept in the job's eventlog" },
    { 0 },
};

const struct command cmd_job_memo[] = {
    { "job memo", "JOBID KEY=VALUE...", "Note something about a job, for flux jobs to show",
      memo_options, 2, -1, COMMAND_TEXT, run_memo },
    { 0 },
};
