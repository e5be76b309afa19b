/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>
#include <jansson.h>

/* What `flux submit --dry-run COMMAND` prints, without its environment. */
static const char *jobspec =
    "{\"version\":1,\"resources\":[{\"type\":\"slot\",\"count\":1,\"label\":\"task\","
    "\"with\":[{\"type\":\"core\",\"count\":1}]}],\"tasks\":[{\"command\":[\"true\"],"
    "\"slot\":\"task\",\"count\":{\"per_slot\":1}}],\"attributes\":{\"system\":{\"duration\":0}}}";

static void on_event(flux_future_t *f, void *arg)
{
    const char *line, *name;
    json_t *o;

    if (flux_job_event_watch_get(f, &line) < 0) {
        printf("%s\n", errno == ENODATA ? "end" : flux_future_error_string(f));
        flux_future_destroy(f);
        return;
    }
    if ((o = json_loads(line, 0, NULL)) && json_unpack(o, "{s:s}", "name", &name) == 0)
        printf("%s\n", name);
    json_decref(o);
    flux_future_reset(f);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f, *watch;
    flux_jobid_t id;

    if (!h || !(f = flux_job_submit(h, jobspec, FLUX_JOB_URGENCY_DEFAULT, 0)) ||
        flux_job_submit_get_id(f, &id) < 0)
        err(1, "flux_job_submit");
    if (!(watch = flux_job_event_watch(h, id, "eventlog", 0)) ||
        flux_future_then(watch, -1., on_event, NULL) < 0)
        err(1, "flux_job_event_watch");
    flux_reactor_run(flux_get_reactor(h), 0);
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * submit
 * validate
 * depend
 * priority
 * alloc
 * start
 * finish
 * release
 * free
 * clean
 * end
 */
