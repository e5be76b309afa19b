/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The smallest daemon on the skeleton, for tests/test_skeleton.py: what a service's main() looks
 * like, and methods that exercise what the skeleton promises. Not installed. */
#include <string.h>

#include "service/log.h"
#include "service/service.h"

struct toy {
    struct service *svc;
    struct request *kept[64], *counting[8], *lost[8];
    int n[8]; /* that each counting request has heard */
    size_t nkept, ncounting, nlost;
    struct request *waiting[64];
    size_t nwaiting;
    int disconnects;
    int events;
};

static int rpc_echo(struct request *req, void *arg)
{
    return request_respond_json(req, request_json(req));
}

/* Answered by the next toy.release. */
static int rpc_wait(struct request *req, void *arg)
{
    struct toy *toy = arg;

    if (toy->nwaiting == ARRAY_SIZE(toy->waiting))
        return request_explain(req, EAGAIN, "too many are waiting");
    toy->waiting[toy->nwaiting++] = request_ref(req);
    return 0;
}

/* Likewise, if need be by the next process. */
static int rpc_keep(struct request *req, void *arg)
{
    struct toy *toy = arg;

    if (toy->nkept == ARRAY_SIZE(toy->kept))
        return -EAGAIN;
    toy->kept[toy->nkept++] = request_ref(req);
    return 0;
}

/* Never answered by this process. */
static int rpc_lose(struct request *req, void *arg)
{
    struct toy *toy = arg;

    if (toy->nlost == ARRAY_SIZE(toy->lost))
        return -EAGAIN;
    toy->lost[toy->nlost++] = request_ref(req);
    return 0;
}

/* 0 at once, and with each toy.step the next number. */
static int rpc_count(struct request *req, void *arg)
{
    struct toy *toy = arg;
    const json_t *n = json_object_get(request_resume(req), "n");

    if (toy->ncounting == ARRAY_SIZE(toy->counting))
        return -EAGAIN;
    toy->n[toy->ncounting] = (int)json_integer_value(n);
    toy->counting[toy->ncounting++] = request_ref(req);
    return n ? 0 : request_respond_pack(req, "{s:i}", "n", 0);
}

static int rpc_step(struct request *req, void *arg)
{
    struct toy *toy = arg;

    for (size_t i = 0; i < toy->ncounting; i++)
        (void)request_respond_pack(toy->counting[i], "{s:i}", "n", ++toy->n[i]);
    return request_respond(req, NULL);
}

static json_t *on_handover(struct request *req, void *arg)
{
    struct toy *toy = arg;

    for (size_t i = 0; i < toy->ncounting; i++)
        if (toy->counting[i] == req)
            return json_pack("{s:i}", "n", toy->n[i]);
    return NULL;
}

static int rpc_hello(struct request *req, void *arg)
{
    return request_respond(req, NULL);
}

static int rpc_release(struct request *req, void *arg)
{
    struct toy *toy = arg;
    int n = 0;

    while (toy->nkept > 0) {
        struct request *k = toy->kept[--toy->nkept];

        n += !request_gone(k);
        (void)request_respond_json(k, request_json(k));
        request_unref(k);
    }
    while (toy->nwaiting > 0) {
        struct request *w = toy->waiting[--toy->nwaiting];

        n += !request_gone(w);
        (void)request_respond(w, NULL);
        request_unref(w);
    }
    return request_respond_pack(req, "{s:i}", "released", n);
}

static int rpc_raw(struct request *req, void *arg)
{
    const void *data;
    size_t size;

    request_raw(req, &data, &size);
    return request_respond_raw(req, data, size);
}

static void on_stats(json_t *stats, void *arg)
{
    struct toy *toy = arg;

    (void)json_object_set_new(stats, "waiting", json_integer((json_int_t)toy->nwaiting));
    (void)json_object_set_new(stats, "gone", json_integer(toy->disconnects));
    (void)json_object_set_new(stats, "events", json_integer(toy->events));
}

static int on_config(const json_t *config, void *arg, flux_error_t *error)
{
    const json_t *o = json_object_get(config, "toy");

    if (o && !json_is_object(o)) {
        (void)snprintf(error->text, sizeof(error->text), "toy: must be a table");
        return -EINVAL;
    }
    return 0;
}

static void on_disconnect(const flux_msg_t *msg, void *arg)
{
    struct toy *toy = arg;

    toy->disconnects++;
}

static void on_event(const flux_msg_t *msg, void *arg)
{
    struct toy *toy = arg;

    toy->events++;
}

/* What waits is answered by hand: on_stop lets it finish. */
static int on_stop(void *arg)
{
    struct toy *toy = arg;

    while (toy->nwaiting > 0) {
        struct request *w = toy->waiting[--toy->nwaiting];

        (void)request_respond(w, "{\"late\":true}");
        request_unref(w);
    }
    service_exit(toy->svc, EXIT_SUCCESS);
    return 0;
}

static const struct rpc_method methods[] = {
    { .topic = "toy.count",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_RESUME,
      .fn = rpc_count },
    { .topic = "toy.echo", .roles = ROLE_USER, .in = "", .fn = rpc_echo },
    { .topic = "toy.hello", .roles = ROLE_USER, .flags = RPC_METHOD_SESSION, .fn = rpc_hello },
    { .topic = "toy.keep",
      .roles = ROLE_USER,
      .in = "",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_keep },
    { .topic = "toy.lose", .roles = ROLE_USER, .fn = rpc_lose },
    { .topic = "toy.raw", .roles = ROLE_USER, .flags = RPC_METHOD_RAW, .fn = rpc_raw },
    { .topic = "toy.release", .roles = ROLE_USER, .fn = rpc_release },
    { .topic = "toy.step", .roles = ROLE_USER, .fn = rpc_step },
    { .topic = "toy.wait", .roles = ROLE_USER, .fn = rpc_wait },
};

static const struct service_desc desc = {
    .name = "toy",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_config = on_config,
    .on_disconnect = on_disconnect,
    .on_event = on_event,
    .on_stop = on_stop,
    .on_handover = on_handover,
};

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    struct toy toy = { 0 };
    int status;

    if (service_new(&desc, argc, argv, &svc) < 0)
        return EXIT_FAILURE;
    toy.svc = svc;
    if (flux_event_subscribe(service_flux(svc), "toy") < 0)
        return EXIT_FAILURE;
    service_status(svc, "Playing on rank %u of %u", service_rank(svc), service_size(svc));
    status = service_run(svc, &toy);
    while (toy.nwaiting > 0)
        request_unref(toy.waiting[--toy.nwaiting]);
    while (toy.nkept > 0)
        request_unref(toy.kept[--toy.nkept]);
    while (toy.ncounting > 0)
        request_unref(toy.counting[--toy.ncounting]);
    while (toy.nlost > 0)
        request_unref(toy.lost[--toy.nlost]);
    return status;
}
