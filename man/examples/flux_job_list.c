/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

/* What `flux submit --dry-run COMMAND` prints, without its environment. */
static const char *jobspec =
    "{\"version\":1,\"resources\":[{\"type\":\"slot\",\"count\":1,\"label\":\"task\","
    "\"with\":[{\"type\":\"core\",\"count\":1}]}],\"tasks\":[{\"command\":[\"/bin/sleep\",\"0\"],"
    "\"slot\":\"task\",\"count\":{\"per_slot\":1}}],\"attributes\":{\"system\":{\"duration\":0}}}";

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f, *list, *one, *cancel;
    const char *name;
    flux_jobid_t id;
    int state;

    if (!h || !(f = flux_job_submit(h, jobspec, FLUX_JOB_URGENCY_HOLD, 0)) ||
        flux_job_submit_get_id(f, &id) < 0)
        err(1, "flux_job_submit");
    if (!(one = flux_job_list_id(h, id, "[\"name\",\"state\"]")) ||
        flux_rpc_get_unpack(one, "{s:{s:s s:i}}", "job", "name", &name, "state", &state) < 0)
        err(1, "flux_job_list_id");
    printf("%s is %s\n", name, (state & FLUX_JOB_STATE_ACTIVE) ? "active" : "inactive");
    if (!(cancel = flux_job_cancel(h, id, NULL)) || flux_future_get(cancel, NULL) < 0)
        err(1, "flux_job_cancel");
    if (!(list = flux_job_list(h, 10, "[\"mood\"]", FLUX_USERID_UNKNOWN, FLUX_JOB_STATE_ACTIVE)))
        err(1, "flux_job_list");
    if (flux_rpc_get(list, NULL) < 0)
        printf("%s\n", flux_future_error_string(list));
    flux_future_destroy(list);
    flux_future_destroy(cancel);
    flux_future_destroy(one);
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * sleep is active
 * ...mood...
 */
