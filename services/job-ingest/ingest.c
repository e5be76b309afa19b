/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-ingest.submit: check, number, store, tell, answer. An answer with an id means that the job is
 * in the KVS, whatever dies next; a refusal means that it is not, except after a lost connection,
 * when nobody knows.
 * Refuses submissions while too many wait to be stored (EAGAIN). */
#include <errno.h>
#include <string.h>

#include "base/monotime.h"
#include "ingest.h"

#define ACCEPTED_MAX      32768
#define WAITING_BYTES_MAX (256u << 20)

void ingest_answer(struct ingest *in, struct submission *s)
{
    in->naccepted--;
    (void)request_respond_pack(s->req, "{s:I}", "id", (json_int_t)s->id);
    s->req = request_unref(s->req);
    submission_free(s);
}

void ingest_refuse(struct ingest *in, struct submission *s, int errnum, const char *why)
{
    in->naccepted--;
    (void)request_fail(s->req, errnum, "%s", why);
    s->req = request_unref(s->req);
    submission_free(s);
}

void ingest_take(struct ingest *in, struct submission *s)
{
    if (fluid_generate(&in->ids, &s->id) < 0) {
        ingest_refuse(in, s, EOVERFLOW, "there are no more job ids");
        return;
    }
    s->t_submit = walltime();
    in->nsubmitted++;
    batch_add(&in->waiting, s);
}

static int refused(struct ingest *in, struct request *req, int rc, const flux_error_t *error)
{
    in->nrefused++;
    return error->text[0] ? request_explain(req, -rc, "%s", error->text) : rc;
}

int ingest_admission(struct ingest *in, json_t *o)
{
    const char *reason = "";
    char *copy;
    int enable;

    if (json_unpack(o, "{s:b s?s}", "enable", &enable, "disable_reason", &reason) < 0)
        return -EPROTO;
    if (!(copy = strdup(reason)))
        return -ENOMEM;
    free(in->disable_reason);
    in->disable_reason = copy;
    in->disabled = !enable;
    return 0;
}

static void show_status(struct ingest *in)
{
    service_status(in->svc, in->disabled ? "submission is disabled" : "accepting jobs");
}

static int rpc_admission(struct request *req, void *arg)
{
    struct ingest *in = arg;
    json_t *o;
    int rc;

    if (request_unpack(req, "o", &o) < 0)
        return -EPROTO;
    if ((rc = ingest_admission(in, o)) < 0)
        return rc;
    show_status(in);
    return request_respond(req, "{}");
}

static int refuse_disabled(struct ingest *in, struct request *req)
{
    const char *reason = in->disable_reason;

    in->nrefused++;
    return request_explain(req, EINVAL, "job submission is disabled%s%s", reason[0] ? ": " : "",
                           reason);
}

static int rpc_submit(struct request *req, void *arg)
{
    struct ingest *in = arg;
    CLEANUP(submission_freep) struct submission *s = NULL;
    struct submit_request r = { .userid = request_userid(req), .owner = request_is_owner(req) };
    flux_error_t error = { .text = "" };
    int rc;

    if (request_unpack(req, "{s:s s:i s:i}", "J", &r.J, "urgency", &r.urgency, "flags", &r.flags) <
        0)
        return -EPROTO;
    if (in->stopping || in->naccepted >= ACCEPTED_MAX || in->waiting.bytes >= WAITING_BYTES_MAX)
        return request_explain(req, EAGAIN, "too many submissions wait to be stored, try again");
    if (in->disabled)
        return refuse_disabled(in, req);
    rc = submission_check(&r, &s, &error);
    if (rc == 0 && s->after)
        rc = depend_check(in, s);
    if (rc < 0)
        return refused(in, req, rc, &error);
    s->req = request_ref(req);
    in->naccepted++;
    if (s->after)
        (void)TAKE(s); /* depend.c has it */
    else
        ingest_take(in, TAKE(s));
    return 0;
}

static const struct rpc_method methods[] = {
    { .topic = "job-ingest.admission", .roles = ROLE_OWNER, .in = "enable:b", .fn = rpc_admission },
    { .topic = "job-ingest.submit",
      .roles = ROLE_USER,
      .in = "J:s urgency:i flags:i",
      .fn = rpc_submit },
};

static void on_stats(json_t *stats, void *arg)
{
    const struct ingest *in = arg;

    (void)json_object_set_new(stats, "submitted", json_integer((json_int_t)in->nsubmitted));
    (void)json_object_set_new(stats, "refused", json_integer((json_int_t)in->nrefused));
    (void)json_object_set_new(stats, "commits", json_integer((json_int_t)in->ncommits));
    (void)json_object_set_new(stats, "unanswered", json_integer((json_int_t)in->naccepted));
}

static void on_stats_clear(void *arg)
{
    struct ingest *in = arg;

    in->nsubmitted = in->nrefused = in->ncommits = 0;
}

static int on_stop(void *arg)
{
    struct ingest *in = arg;

    in->stopping = true;
    return 0;
}

static void on_end(void *arg)
{
    announce_answer(arg);
}

const struct service_desc ingest_desc = {
    .name = "job-ingest",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_stats_clear = on_stats_clear,
    .on_stop = on_stop,
    .on_end = on_end,
};

int ingest_new(struct service *svc, struct ingest **ret)
{
    CLEANUP(ingest_freep) struct ingest *in = calloc(1, sizeof(*in));
    CLEANUP(json_decrefp) json_t *active = NULL;
    int rc;

    if (!in)
        return -ENOMEM;
    in->svc = svc;
    in->h = service_flux(svc);
    batch_init(&in->waiting);
    batch_init(&in->committing);
    LIST_INIT(&in->announcements);
    LIST_INIT(&in->depend_checks);
    rc = load_ids(in, &active);
    if (rc == 0)
        rc = load_admission(in);
    if (rc == 0)
        rc = announce_active(in, active);
    if (rc == 0)
        rc = commit_open(in);
    if (rc < 0)
        return rc;
    show_status(in);
    *ret = TAKE(in);
    return 0;
}

static void drop_all(struct batch *b)
{
    struct submission *s;

    while ((s = batch_pop(b))) {
        s->req = request_unref(s->req);
        submission_free(s);
    }
}

struct ingest *ingest_free(struct ingest *in)
{
    if (!in)
        return NULL;
    commit_close(in);
    announce_close(in);
    depend_close(in);
    drop_all(&in->committing);
    drop_all(&in->waiting);
    free(in->disable_reason);
    free(in);
    return NULL;
}
