/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl cancel, job cancel: jobs by their ids, and all that --user, --states or --all choose. */
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "families.h"
#include "job-open.h"

static bool is_selection(const struct cmdline *c)
{
    return cmdline_has(c, "all") || cmdline_has(c, "user") || cmdline_has(c, "states");
}

/* Words that are no job ids end the list of ids and begin the message. */
static int count_ids(const struct cmdline *c)
{
    flux_jobid_t id;
    int n = 0;

    while (n < c->argc && flux_job_id_parse(c->argv[n], &id) == 0)
        n++;
    return n;
}

/* "for", "finally": a job id in plain f58, or the first word of the message. */
static bool may_be_a_word(const char *s)
{
    return s[0] == 'f' && s[strspn(s, "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

static bool exists(flux_t *h, const char *word)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    flux_jobid_t id;

    (void)flux_job_id_parse(word, &id);
    f = flux_rpc_pack(h, "job-list.list-id", FLUX_NODEID_ANY, 0, "{s:I s:[]}", "id", (json_int_t)id,
                      "attrs");
    return !f || flux_rpc_get(f, NULL) == 0 || errno != ENOENT;
}

static int count_jobs(flux_t *h, const struct cmdline *c, int nids)
{
    for (int i = 1; i < nids; i++)
        if (may_be_a_word(c->argv[i]) && !exists(h, c->argv[i]))
            return i;
    return nids;
}

static char *message_of(const struct cmdline *c, int nids)
{
    const char *message = cmdline_string(c, "message", NULL);

    return message ? strdup(message) : cmdline_join(c, nids);
}

static int cancel_one(flux_t *h, flux_jobid_t id, const char *message)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_job_cancel(h, id, message);

    if (f && flux_future_get(f, NULL) == 0)
        return EXIT_SUCCESS;
    return complain_future(f, "cannot cancel job %s", jobid_text(id));
}

static int cancel_ids(const struct cmdline *c, int nids)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(freep) char *message = NULL;
    int status = EXIT_SUCCESS;

    if (!h)
        return EXIT_FAILURE;
    nids = count_jobs(h, c, nids);
    message = message_of(c, nids);
    for (int i = 0; i < nids; i++) {
        flux_jobid_t id;

        (void)flux_job_id_parse(c->argv[i], &id);
        status |= cancel_one(h, id, message);
    }
    return status;
}

/* --- many --- */

static int say(const struct cmdline *c, size_t count, size_t errors)
{
    if (count == 0 && cmdline_has(c, "quiet"))
        return EXIT_SUCCESS;
    if (cmdline_has(c, "dry-run"))
        (void)complain("Would cancel %zu job%s", count, plural(count));
    else
        (void)complain("Canceled %zu job%s (%zu error%s)", count, plural(count), errors,
                       plural(errors));
    return errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int cancel_selected(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(freep) char *message = message_of(c, 0);
    const char *user = cmdline_string(c, "user", NULL);
    uint32_t userid = getuid();
    json_t *request;
    int states;

    if (parse_states(cmdline_string(c, "states", "active"), "states", &states) < 0 ||
        (user && parse_user(user, &userid) < 0) || !(h = client_open()))
        return EXIT_FAILURE;
    request = json_pack("{s:I s:i s:i s:s s:s s:b}", "userid", (json_int_t)userid, "states", states,
                        "severity", 0, "type", "cancel", "note", message ? message : "", "dry_run",
                        cmdline_has(c, "dry-run"));
    if (!(answer = client_call(h, "job-manager.raiseall", request, "cancel these jobs")))
        return EXIT_FAILURE;
    return say(c, (size_t)json_integer_value(json_object_get(answer, "count")),
               (size_t)json_integer_value(json_object_get(answer, "errors")));
}

static int run_cancel(const struct cmdline *c)
{
    const int nids = count_ids(c);

    if (is_selection(c))
        return nids > 0 && !may_be_a_word(c->argv[0])
                   ? complain("job ids and --all, --user, --states exclude each other")
                   : cancel_selected(c);
    if (cmdline_has(c, "dry-run") || cmdline_has(c, "quiet"))
        return complain("--%s is for --all, --user and --states",
                        cmdline_has(c, "quiet") ? "quiet" : "dry-run");
    if (nids == 0)
        return c->argc > 0 ? complain("'%s' is not a job id", c->argv[0])
                           : complain("say which jobs: JOBID..., --all, --user, --states");
    return cancel_ids(c, nids);
}

static const struct option cancel_options[] = {
    { 'a', "all", NULL, "Your active jobs" },
    { 'u', "user", "USER", "The active jobs of a user, by name or number, or all" },
    { 's', "states", "STATES", "Comma-separated: your jobs that are pending, running, sched ..." },
    { 'm', "message", "TEXT", "Why" },
    { 'n', "dry-run", NULL, "With these: only say how many there are" },
    { 'q', "quiet", NULL, "With these: say nothing if there are none" },
    { 0 },
};

const struct command cmd_cancel[] = {
    { "cancel", "[JOBID...] [MESSAGE...]", "Cancel jobs", cancel_options, 0, -1, COMMAND_TEXT,
      run_cancel },
    { "job cancel", "[JOBID...] [MESSAGE...]", "Cancel jobs", cancel_options, 0, -1, COMMAND_TEXT,
      run_cancel },
    { 0 },
};
