/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job purge: have the instance forget jobs that ended. */
#include "client.h"
#include "families.h"

/* NULL: has complained. */
static json_t *purge_request(const struct cmdline *c)
{
    const char *age = cmdline_string(c, "age-limit", NULL);
    const char *num = cmdline_string(c, "num-limit", NULL);
    CLEANUP(json_decrefp)
    json_t *o = json_pack("{s:b}", "force", cmdline_has(c, "force"));
    double seconds;
    int count;

    if (c->argc > 0 ? age || num : !age && !num) {
        complain("say what to purge: either job ids, or --age-limit and --num-limit");
        return NULL;
    }
    if ((age && parse_duration(age, "--age-limit", &seconds) < 0) ||
        (num && parse_count(num, "--num-limit", 0, &count) < 0))
        return NULL;
    if (age)
        (void)json_object_set_new(o, "age_limit", json_real(seconds));
    if (num)
        (void)json_object_set_new(o, "num_limit", json_integer(count));
    if (c->argc > 0)
        (void)json_object_set_new(o, "ids", json_array());
    for (int i = 0; i < c->argc; i++) {
        flux_jobid_t id;

        if (parse_jobid(c->argv[i], &id) < 0)
            return NULL;
        (void)json_array_append_new(json_object_get(o, "ids"), json_integer((json_int_t)id));
    }
    return TAKE(o);
}

static int run_purge(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    json_t *request = purge_request(c);
    json_int_t count;

    if (!request)
        return EXIT_FAILURE;
    if (!(h = client_open())) {
        json_decref(request);
        return EXIT_FAILURE;
    }
    if (!(answer = client_call(h, "job-manager.purge", request, "purge past jobs")))
        return EXIT_FAILURE;
    count = json_integer_value(json_object_get(answer, "count"));
    if (c->argc > 0 && count < c->argc)
        return complain("%lld of %d job%s %s; the others are unknown", (long long)count, c->argc,
                        plural((size_t)c->argc),
                        cmdline_has(c, "force") ? "purged" : "would be purged");
    if (cmdline_has(c, "force"))
        printf("%lld job%s purged\n", (long long)count, plural((size_t)count));
    else
        printf("%lld job%s would be purged; confirm with --force\n", (long long)count,
               plural((size_t)count));
    return EXIT_SUCCESS;
}

static const struct option purge_options[] = {
    { 0, "age-limit", "FSD", "Jobs that ended longer ago than this" },
    { 0, "num-limit", "N", "The oldest jobs, until there are at most N" },
    { 'f', "force", NULL, "Do it; without, only say how many jobs it would hit" },
    { 0 },
};

const struct command cmd_job_purge[] = {
    { "job purge", "[JOBID...]", "Forget jobs that ended", purge_options, 0, -1, 0, run_purge },
    { 0 },
};
