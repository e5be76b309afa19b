/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The KVS is asked each time: our own tables may not have the job yet. */
#include <string.h>

#include "base/eventlog.h"
#include "job-list/access.h"

struct access {
    uint32_t userid;
    flux_future_t *f;
    void (*done)(int rc, void *arg);
    void *arg;
};

void access_free(struct access *a)
{
    if (a) {
        flux_future_destroy(a->f);
        free(a);
    }
}
DEFINE_CLEANUP(struct access *, access_free)

static int check_submit(const char *eventlog, uint32_t userid)
{
    CLEANUP(json_decrefp)
    json_t *event = eventlog_entry_decode(eventlog, strcspn(eventlog, "\n"), NULL);
    const char *name;
    json_t *context;
    json_t *submitter;

    if (!event || eventlog_entry_parse(event, NULL, &name, &context) < 0 ||
        strcmp(name, "submit") != 0)
        return -EPROTO;
    submitter = json_object_get(context, "userid");
    return json_is_integer(submitter) && json_integer_value(submitter) == userid ? 0 : -EPERM;
}

static void on_eventlog(flux_future_t *f, void *arg)
{
    struct access *a = arg;
    const char *text = NULL;
    void (*done)(int rc, void *arg) = a->done;
    void *done_arg = a->arg;
    int rc = flux_kvs_lookup_get(f, &text) < 0 ? -errno : check_submit(text ? text : "", a->userid);

    access_free(a);
    done(rc, done_arg);
}

struct access *access_check(struct request *req, flux_jobid_t id, void (*done)(int rc, void *arg),
                            void *arg)
{
    CLEANUP(access_freep) struct access *a = NULL;
    char key[64];

    if (request_is_owner(req)) {
        done(0, arg);
        return NULL;
    }
    (void)flux_job_kvs_key(key, sizeof(key), id, "eventlog");
    a = calloc(1, sizeof(*a));
    if (a) {
        a->userid = request_userid(req);
        a->done = done;
        a->arg = arg;
        a->f = flux_kvs_lookup(service_flux(request_service(req)), KVS_PRIMARY_NAMESPACE, 0, key);
    }
    if (!a || !a->f || flux_future_then(a->f, -1., on_eventlog, a) < 0) {
        done(-ENOMEM, arg);
        return NULL;
    }
    return TAKE(a);
}

void access_fail(struct request *req, int rc)
{
    if (rc == -EPERM)
        (void)request_fail(req, EPERM, "the job is another user's");
    else if (rc == -ENOENT)
        (void)request_fail(req, ENOENT, "there is no such job");
    else
        (void)request_fail(req, -rc, "the job cannot be read: %s", strerror(-rc));
}
