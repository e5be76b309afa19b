/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <flux/core.h>

/* What `flux submit --dry-run COMMAND` prints, without its environment. */
static const char *jobspec =
    "{\"version\":1,\"resources\":[{\"type\":\"slot\",\"count\":1,\"label\":\"task\","
    "\"with\":[{\"type\":\"core\",\"count\":1}]}],\"tasks\":[{\"command\":[\"true\"],"
    "\"slot\":\"task\",\"count\":{\"per_slot\":1}}],\"attributes\":{\"system\":{\"duration\":0}}}";

static void result(const char *what, flux_future_t *f)
{
    if (!f)
        err(1, "%s", what);
    printf("%s: %s\n", what, flux_future_get(f, NULL) < 0 ? strerror(errno) : "done");
    flux_future_destroy(f);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f, *wait;
    flux_jobid_t id;
    const char *errstr;

    if (!h || !(f = flux_job_submit(h, jobspec, FLUX_JOB_URGENCY_HOLD, FLUX_JOB_WAITABLE)) ||
        flux_job_submit_get_id(f, &id) < 0)
        err(1, "flux_job_submit");
    result("note", flux_job_raise(h, id, "advice", 7, "is anybody there?"));
    result("urgency", flux_job_set_urgency(h, id, FLUX_JOB_URGENCY_HOLD));
    result("kill", flux_job_kill(h, id, SIGTERM));
    result("cancel", flux_job_cancel(h, id, "not needed any more"));
    if (!(wait = flux_job_wait(h, id)) || flux_job_wait_get_status(wait, NULL, &errstr) < 0)
        err(1, "flux_job_wait");
    printf("%s\n", errstr);
    result("cancel again", flux_job_cancel(h, id, NULL));
    flux_future_destroy(wait);
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * note: done
 * urgency: done
 * kill: Invalid argument
 * cancel: done
 * ...not needed any more
 * cancel again: No such file or directory
 */
