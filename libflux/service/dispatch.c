/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The method table, hashed by topic. Checks in this order: known topic (ENOSYS), role (EPERM),
 * streaming (EPROTO), quota (EAGAIN), payload (EPROTO); each refusal is a sentence. A handler that
 * returns a negative errno is answered for. Invariant: a request that leaves here unanswered was
 * kept by somebody, and is in the index of its client. */
#include <string.h>

#include "base/hash.h"
#include "service/log.h"
#include "service/state.h"
#include "wire/message.h"

struct method {
    const struct rpc_method *def;
    bool builtin;
    uint64_t calls;
    uint64_t errors;
    UT_hash_handle hh;
    char topic[];
};

struct dispatch {
    struct method *methods;
};

/* An entry that exists stays: a daemon may have its own ping. */
static int add_method(struct dispatch *d, const struct rpc_method *def, const char *service)
{
    const size_t size = strlen(def->topic) + (service ? strlen(service) + 1 : 0) + 1;
    struct method *m = calloc(1, sizeof(*m) + size);
    struct method *old;

    if (!m)
        return -ENOMEM;
    (void)snprintf(m->topic, size, "%s%s%s", service ? service : "", service ? "." : "",
                   def->topic);
    m->def = def;
    m->builtin = service != NULL;
    HASH_FIND_STR(d->methods, m->topic, old);
    if (old) {
        free(m);
        return 0;
    }
    HASH_ADD_STR(d->methods, topic, m);
    if (!m->hh.tbl) {
        free(m);
        return -ENOMEM;
    }
    return 0;
}

static int add_builtins(struct dispatch *d, const char *service)
{
    int rc = 0;

    for (size_t i = 0; i < builtin_nmethods && rc == 0; i++)
        rc = add_method(d, &builtin_methods[i], service);
    return rc;
}

int dispatch_new(const struct service_desc *desc, struct dispatch **ret)
{
    CLEANUP(dispatch_freep) struct dispatch *d = calloc(1, sizeof(*d));
    int rc;

    if (!d)
        return -ENOMEM;
    for (size_t i = 0; i < desc->nmethods; i++)
        if ((rc = add_method(d, &desc->methods[i], NULL)) < 0)
            return rc;
    if ((rc = add_builtins(d, desc->name)) < 0)
        return rc;
    for (size_t i = 0; i < desc->nmethods; i++) {
        const char *topic = desc->methods[i].topic;
        CLEANUP(freep) char *service = strndup(topic, strcspn(topic, "."));

        if (!service || (rc = add_builtins(d, service)) < 0)
            return -ENOMEM;
    }
    *ret = TAKE(d);
    return 0;
}

struct dispatch *dispatch_free(struct dispatch *d)
{
    struct method *m, *tmp;

    if (d) {
        HASH_ITER (hh, d->methods, m, tmp) {
            HASH_DEL(d->methods, m);
            free(m);
        }
        free(d);
    }
    return NULL;
}

static int refuse_role(struct request *req, const struct rpc_method *def)
{
    return request_fail(req, EPERM, "%s is for %s, not for user %u", def->topic,
                        def->roles & FLUX_ROLE_USER ? "users of this instance"
                                                    : "the owner of this instance",
                        request_userid(req));
}

static bool is_builtin(const struct rpc_method *def)
{
    return def >= builtin_methods && def < builtin_methods + builtin_nmethods;
}

/* 1: go on; 0: answered. */
static int check(struct request *req, const struct rpc_method *def)
{
    flux_error_t error = { .text = "" };
    int rc;

    if (!(msg_proto(req->msg)->rolemask & def->roles))
        return refuse_role(req, def);
    if (req->svc->bare && (def->flags & RPC_METHOD_NORESPONSE) && !is_builtin(def))
        return 0;
    if (req->svc->refuse_errnum && !(def->flags & RPC_METHOD_NORESPONSE) && !is_builtin(def))
        return request_fail(req, req->svc->refuse_errnum, "%s", req->svc->refuse_why.text);
    if ((def->flags & RPC_METHOD_STREAMING) && !request_is_streaming(req))
        return request_fail(req, EPROTO, "%s is a streaming RPC: the request must say so",
                            request_topic(req));
    /* Cancels and notices of a disconnect must reach the service when the sender is at his limit.
     */
    rc = def->flags & RPC_METHOD_NORESPONSE ? 0 : request_charge(req, &error);
    if (rc == 0 && def->in && !(def->flags & RPC_METHOD_RAW))
        rc = request_decode(req, def->in, &error);
    if (rc < 0)
        return request_fail(req, -rc, "%s: %s", request_topic(req),
                            error.text[0] ? error.text : strerror(-rc));
    return 1;
}

static void call(struct request *req, struct method *m)
{
    int rc;

    req->resumable = m->def->flags & RPC_METHOD_RESUME;
    req->origin->session |= (m->def->flags & RPC_METHOD_SESSION) != 0;
    rc = m->def->fn(req, req->svc->arg);
    if (rc < 0) {
        m->errors++;
        (void)request_refuse(req, rc);
    } else if ((m->def->flags & RPC_METHOD_NORESPONSE) && msg_proto(req->msg)->aux2 != 0) {
        (void)request_respond(req, NULL); /* the sender forgot the flag: do not let him wait */
    }
}

void dispatch_request(struct service *svc, struct origin *origin, const flux_msg_t *msg)
{
    dispatch_resume(svc, origin, msg, NULL);
}

void dispatch_resume(struct service *svc, struct origin *origin, const flux_msg_t *msg,
                     json_t *resume)
{
    CLEANUP(request_unrefp) struct request *req = NULL;
    const char *topic = msg_topic(msg);
    struct method *m;

    svc->stats.requests++;
    if (request_new(svc, origin, msg, &req) < 0)
        return; /* out of memory: the sender's own time limit has to do */
    req->resume = json_incref(resume);
    HASH_FIND_STR(svc->dispatch->methods, topic, m);
    if (!m) {
        (void)request_fail(req, ENOSYS, "there is no method %s in flux-%s", topic, svc->desc->name);
        return;
    }
    m->calls++;
    if (check(req, m->def) > 0)
        call(req, m);
    else
        m->errors++;
    if (req->refs > 1)
        (void)request_keep(req);
}

json_t *dispatch_stats(const struct dispatch *d)
{
    json_t *o = json_object();

    for (const struct method *m = d->methods; m; m = m->hh.next)
        if (m->calls > 0)
            (void)json_object_set_new(o, m->topic,
                                      json_pack("{s:I s:I}", "calls", (json_int_t)m->calls,
                                                "errors", (json_int_t)m->errors));
    return o;
}

void dispatch_stats_clear(struct dispatch *d)
{
    for (struct method *m = d->methods; m; m = m->hh.next)
        m->calls = m->errors = 0;
}

json_t *dispatch_services(const struct dispatch *d)
{
    json_t *names = json_array();

    /* Each service has the built-in ping. */
    for (const struct method *m = d->methods; names && m; m = m->hh.next) {
        const size_t size = strcspn(m->topic, ".");

        if (strcmp(m->topic + size, ".ping") == 0 &&
            json_array_append_new(names, json_stringn(m->topic, size)) < 0) {
            json_decref(names);
            return NULL;
        }
    }
    return names;
}
