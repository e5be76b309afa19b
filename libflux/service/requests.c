/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A request is handed on as its whole message (RFC 3), with the credentials it was given when it
 * came, and what the daemon wants to find then. */
#include "service/msgjson.h"
#include "service/requests.h"
#include "service/state.h"
#include "wire/message.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

static json_t *encode_request(struct request *req)
{
    struct service *svc = req->svc;
    json_t *resume = NULL;

    if (!req->held && svc->desc->on_handover)
        resume = svc->desc->on_handover(req, svc->arg);
    else if (req->resume)
        resume = json_incref(req->resume);
    return json_pack("{s:o s:o*}", "msg", msgjson_encode(req->msg), "resume", resume);
}

json_t *requests_encode(const struct origin *o)
{
    CLEANUP(json_decrefp) json_t *requests = json_array();
    struct request *req;
    size_t bytes = 0;

    TAILQ_FOREACH (req, &o->requests, origin_entry) {
        bytes += msg_payload_size(req->msg);
        if (bytes > REQUESTS_BYTES_MAX || json_array_append_new(requests, encode_request(req)) < 0)
            return NULL;
    }
    return TAKE(requests);
}

/* Nobody of those who are told "being restarted" was begun with, or it is not known how far that
 * came. */
void requests_refuse(struct origin *o)
{
    struct request *req, *tmp;

    TAILQ_FOREACH_SAFE (req, &o->requests, origin_entry, tmp)
        if (!req->held && !req->resumable && !o->session)
            request_forget(req);
}

/* The next process answers: here they have ended, silently. */
void requests_hand_on(struct origin *o)
{
    struct request *req;

    while ((req = TAILQ_FIRST(&o->requests)))
        request_hand_on(req);
}

static void resume_one(struct service *svc, struct origin *origin, const json_t *o)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = msgjson_decode(json_object_get(o, "msg"));

    if (msg && msg_proto(msg)->type == FLUX_MSGTYPE_REQUEST)
        dispatch_resume(svc, origin, msg, json_object_get(o, "resume"));
}

void requests_resume(struct service *svc, struct origin *o, const json_t *requests)
{
    const json_t *value;
    size_t i;

    json_array_foreach (requests, i, value)
        resume_one(svc, o, value);
}
