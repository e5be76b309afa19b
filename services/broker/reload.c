/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Daemons are those that have announced themselves. One that goes away meanwhile has refused
 * nothing: the next process reads the configuration from the beginning. One that does not answer
 * within RELOAD_SECONDS is named; it has the message in its queue. */
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/daemonname.h"
#include "base/jsonx.h"
#include "broker/manager.h"
#include "broker/reload.h"
#include "service/log.h"

struct reload {
    LIST_ENTRY(reload) entry;
    struct reloads *reloads;
    struct request *req; /* NULL: nobody waits */
    LIST_HEAD(, question) waiting;
    int errnum; /* of the first refusal; 0: there is none */
    unsigned int refusals;
    char text[900]; /* "kvs: why; exec: why" */
};

/* What one daemon was asked. */
struct question {
    LIST_ENTRY(question) entry;
    struct reload *reload;
    flux_future_t *f;
    char service[SERVICE_NAME_SIZE];
};

static void question_free(struct question *q)
{
    LIST_REMOVE(q, entry);
    flux_future_destroy(q->f);
    free(q);
}

static void reload_free(struct reload *r)
{
    while (!LIST_EMPTY(&r->waiting))
        question_free(LIST_FIRST(&r->waiting));
    LIST_REMOVE(r, entry);
    if (r->req)
        request_on_gone(r->req, NULL, NULL);
    request_unref(r->req);
    free(r);
}

static void answer(struct reload *r)
{
    if (!r->req)
        return;
    if (r->refusals == 0)
        (void)request_respond(r->req, NULL);
    else
        (void)request_fail(r->req, r->errnum, "not taken by %u service%s of this node: %s",
                           r->refusals, r->refusals == 1 ? "" : "s", r->text);
}

static void note_refusal(struct reload *r, const char *service, int errnum, const char *why)
{
    const size_t used = strlen(r->text);

    (void)snprintf(r->text + used, sizeof(r->text) - used, "%s%s: %s", used ? "; " : "",
                   daemonname(service), why);
    if (r->refusals++ == 0)
        r->errnum = errnum;
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct question *q = arg;
    struct reload *r = q->reload;

    if (flux_future_get(f, NULL) < 0) {
        const int errnum = errno;

        if (errnum == ETIMEDOUT)
            note_refusal(r, q->service, errnum, "it does not answer");
        else if (errnum != ECONNRESET && errnum != ENOSYS)
            note_refusal(r, q->service, errnum, flux_future_error_string(f));
    }
    question_free(q);
    if (LIST_EMPTY(&r->waiting)) {
        answer(r);
        reload_free(r);
    }
}

static int ask(struct reload *r, const char *service, const char *config)
{
    struct question *q;
    char topic[SERVICE_NAME_SIZE + 32];
    flux_t *h;
    int rc;

    if ((rc = manager_self(r->reloads->m, &h)) < 0)
        return rc;
    if (!(q = calloc(1, sizeof(*q))))
        return -ENOMEM;
    q->reload = r;
    LIST_INSERT_HEAD(&r->waiting, q, entry);
    (void)snprintf(q->service, sizeof(q->service), "%s", service);
    (void)snprintf(topic, sizeof(topic), "%s.config-reload", service);
    q->f = flux_rpc(h, topic, config, FLUX_NODEID_ANY, 0);
    if (!q->f || flux_future_then(q->f, RELOAD_SECONDS, on_answer, q) < 0) {
        rc = -errno;
        question_free(q);
        return rc;
    }
    return 0;
}

/* The first service of a daemon that has a socket; NULL: it has none, or is no daemon. */
static const char *service_of(const struct router *router, const struct client *c)
{
    const json_t *value;
    size_t i;

    json_array_foreach (c->announced, i, value)
        if (dial_exists(&router->dial, json_string_value(value)))
            return json_string_value(value);
    return NULL;
}

/* Services of one daemon are told once. */
static void ask_all(struct reload *r, const char *config)
{
    const struct router *router = &r->reloads->m->router;
    struct client *c, *tmp;

    HASH_ITER (hh, router->clients.by_name, c, tmp) {
        const char *name = service_of(router, c);
        int rc;

        if (name && (rc = ask(r, name, config)) < 0) {
            log_warning("flux-%s cannot be told the configuration: %s", daemonname(name),
                        strerror(-rc));
            note_refusal(r, name, -rc, strerror(-rc));
        }
    }
}

static void on_gone(struct request *req, void *arg)
{
    struct reload *r = arg;

    r->req = request_unref(r->req);
}

int reloads_begin(struct reloads *rs, struct request *req)
{
    size_t size;
    CLEANUP(freep) char *config = jsonx_encode(rs->m->config.o, &size);
    struct reload *r = config ? calloc(1, sizeof(*r)) : NULL;

    if (!r)
        return -ENOMEM;
    r->reloads = rs;
    LIST_INIT(&r->waiting);
    LIST_INSERT_HEAD(&rs->all, r, entry);
    if (req) {
        r->req = request_ref(req);
        request_on_gone(req, on_gone, r);
    }
    ask_all(r, config);
    if (LIST_EMPTY(&r->waiting)) {
        answer(r);
        reload_free(r);
    }
    return 0;
}

void reloads_init(struct reloads *rs, struct manager *m)
{
    rs->m = m;
    LIST_INIT(&rs->all);
}

void reloads_deinit(struct reloads *rs)
{
    while (!LIST_EMPTY(&rs->all))
        reload_free(LIST_FIRST(&rs->all));
}
