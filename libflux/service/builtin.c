/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The methods that every service answers (PROTOCOLS.md, "Rules for all"). Their arg is that of the
 * daemon, which they do not look at. */
#include <string.h>

#include "service/log.h"
#include "service/state.h"

static int rpc_ping(struct request *req, void *arg)
{
    CLEANUP(json_decrefp) json_t *o = json_copy((json_t *)request_json(req));
    CLEANUP(freep) char *route = flux_msg_route_string(request_msg(req));
    uint32_t rolemask = 0;

    (void)flux_msg_get_rolemask(request_msg(req), &rolemask);
    if (!o || json_object_set_new(o, "userid", json_integer(request_userid(req))) < 0 ||
        json_object_set_new(o, "rolemask", json_integer(rolemask)) < 0 ||
        json_object_set_new(o, "route", json_string(route ? route : "")) < 0)
        return -ENOMEM;
    return request_respond_json(req, o);
}

static int rpc_stats_get(struct request *req, void *arg)
{
    CLEANUP(json_decrefp) json_t *o = service_stats_json(request_service(req));

    return o ? request_respond_json(req, o) : -ENOMEM;
}

static int rpc_stats_clear(struct request *req, void *arg)
{
    struct service *svc = request_service(req);

    stats_clear(&svc->stats);
    dispatch_stats_clear(svc->dispatch);
    if (svc->desc->on_stats_clear)
        svc->desc->on_stats_clear(arg);
    return request_respond(req, NULL);
}

/* What the bits mean is the business of the daemon and of who tests it. */
static int rpc_debug(struct request *req, void *arg)
{
    struct service *svc = request_service(req);
    const char *op = json_string_value(json_object_get(request_json(req), "op"));
    const json_int_t flags = json_integer_value(json_object_get(request_json(req), "flags"));

    if (flags < 0 || flags > UINT32_MAX)
        return request_explain(req, EINVAL, "debug flags have 32 bits");
    if (strcmp(op, "setbit") == 0)
        svc->debug_flags |= (uint32_t)flags;
    else if (strcmp(op, "clrbit") == 0)
        svc->debug_flags &= ~(uint32_t)flags;
    else if (strcmp(op, "set") == 0)
        svc->debug_flags = (uint32_t)flags;
    else if (strcmp(op, "clr") == 0)
        svc->debug_flags = 0;
    else if (strcmp(op, "get") != 0)
        return request_explain(req, EINVAL, "op must be setbit, clrbit, set, clr or get");
    return request_respond_pack(req, "{s:I}", "flags", (json_int_t)svc->debug_flags);
}

static int rpc_rusage(struct request *req, void *arg)
{
    CLEANUP(json_decrefp) json_t *o = stats_rusage();

    return o ? request_respond_json(req, o) : -ENOMEM;
}

static int rpc_disconnect(struct request *req, void *arg)
{
    struct service *svc = request_service(req);

    svc->stats.disconnects++;
    request_index_disconnect(svc, req->origin, request_msg(req));
    if (svc->desc->on_disconnect)
        svc->desc->on_disconnect(request_msg(req), arg);
    return 0;
}

static int rpc_config_reload(struct request *req, void *arg)
{
    flux_error_t error = { .text = "" };
    json_t *config = json_deep_copy(request_json(req));
    const int rc = config ? service_set_config(request_service(req), config, &error) : -ENOMEM;

    if (rc < 0)
        return request_fail(req, -rc, error.text[0] ? "%s" : NULL, error.text);
    return request_respond(req, NULL);
}

static int rpc_shutdown(struct request *req, void *arg)
{
    const int rc = request_respond(req, NULL);

    request_service(req)->dismissed = true;
    service_begin_stop(request_service(req), "asked by a shutdown request");
    return rc < 0 ? rc : 0;
}

const struct rpc_method builtin_methods[] = {
    { .topic = "config-reload", .roles = ROLE_OWNER, .in = "", .fn = rpc_config_reload },
    { .topic = "debug", .roles = ROLE_OWNER, .in = "op:s flags?:I", .fn = rpc_debug },
    { .topic = "disconnect",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_disconnect },
    { .topic = "ping", .roles = ROLE_USER, .in = "", .fn = rpc_ping },
    { .topic = "rusage", .roles = ROLE_USER, .fn = rpc_rusage },
    { .topic = "shutdown", .roles = ROLE_OWNER, .fn = rpc_shutdown },
    { .topic = "stats-clear", .roles = ROLE_OWNER, .fn = rpc_stats_clear },
    { .topic = "stats-get", .roles = ROLE_USER, .fn = rpc_stats_get },
};
const size_t builtin_nmethods = ARRAY_SIZE(builtin_methods);
