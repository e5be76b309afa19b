/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

/* What `flux submit --dry-run COMMAND` prints, without its environment. */
static const char *jobspec =
    "{\"version\":1,\"resources\":[{\"type\":\"slot\",\"count\":1,\"label\":\"task\","
    "\"with\":[{\"type\":\"core\",\"count\":1}]}],\"tasks\":[{\"command\":[\"false\"],"
    "\"slot\":\"task\",\"count\":{\"per_slot\":1}}],\"attributes\":{\"system\":{\"duration\":0}}}";

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f, *wait, *bad;
    flux_jobid_t id, ended;
    const char *errstr;
    bool success;

    if (!h || !(f = flux_job_submit(h, jobspec, FLUX_JOB_URGENCY_DEFAULT, FLUX_JOB_WAITABLE)) ||
        flux_job_submit_get_id(f, &id) < 0)
        err(1, "flux_job_submit");
    if (!(wait = flux_job_wait(h, id)) || flux_job_wait_get_id(wait, &ended) < 0 ||
        flux_job_wait_get_status(wait, &success, &errstr) < 0)
        err(1, "flux_job_wait");
    printf("%s: success %d: %s\n", id == ended ? "the job" : "another", success, errstr);

    if (!(bad = flux_job_submit(h, "{\"version\":1}", 16, 0)))
        err(1, "flux_job_submit");
    if (flux_job_submit_get_id(bad, &id) < 0)
        printf("%s\n", flux_future_error_string(bad));
    flux_future_destroy(bad);
    flux_future_destroy(wait);
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * the job: success 0: ...
 * ...resources...
 */
