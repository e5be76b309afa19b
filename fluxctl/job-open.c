/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the commands about one job begin with. */
#include "job-open.h"

#include <string.h>
#include <strings.h>

#include "client.h"

flux_t *open_for_job(const char *id, flux_jobid_t *ret_id)
{
    return parse_jobid(id, ret_id) < 0 ? NULL : client_open();
}

int parse_states(const char *s, const char *option, int *ret)
{
    *ret = 0;
    while (*s) {
        size_t len = strcspn(s, ",");
        char word[32];
        flux_job_state_t state;

        snprintf(word, sizeof(word), "%.*s", (int)len, s);
        if (strcasecmp(word, "active") == 0)
            *ret |= FLUX_JOB_STATE_ACTIVE;
        else if (strcasecmp(word, "pending") == 0)
            *ret |= FLUX_JOB_STATE_PENDING;
        else if (strcasecmp(word, "running") == 0)
            *ret |= FLUX_JOB_STATE_RUNNING;
        else if (flux_job_strtostate(word, &state) == 0)
            *ret |= (int)state;
        else {
            complain("--%s: '%s' is not a state of a job", option, word);
            return -1;
        }
        s += len + (s[len] == ',');
    }
    return 0;
}

json_t *fetch_job(flux_t *h, flux_jobid_t id)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;
    char what[128];

    snprintf(what, sizeof(what), "look at job %s", jobid_text(id));
    answer = client_call(h, "job-list.list-id",
                         json_pack("{s:I s:[s]}", "id", (json_int_t)id, "attrs", "all"), what);
    return json_incref(json_object_get(answer, "job"));
}

json_t *fetch_job_keys(flux_t *h, flux_jobid_t id, json_t *keys, const char *what)
{
    char doing[256];

    snprintf(doing, sizeof(doing), "read %s of job %s", what, jobid_text(id));
    return client_call(h, "job-info.lookup",
                       json_pack("{s:I s:o s:i}", "id", (json_int_t)id, "keys", keys, "flags", 0),
                       doing);
}
