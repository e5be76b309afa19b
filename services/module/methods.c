/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The methods that every service answers (PROTOCOLS.md, "Rules for all"), in the words of the
 * public API: this process has a module's code in it and nothing of the daemons'. */
#include "module/methods.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>

#define DEBUG_FLAGS "flux::debug-flags" /* as flux_module_debug_test(3) knows it */
#define NMETHODS    7

struct methods {
    void (*on_shutdown)(void *arg);
    void *arg;
    int debug_flags;
    struct timespec started;
    char *topics[NMETHODS];
    flux_msg_handler_t *handlers[NMETHODS];
};

/* Consumes o. A client that cannot be answered has its own time limit. */
static void respond(flux_t *h, const flux_msg_t *msg, json_t *o)
{
    if (!o || flux_respond_pack(h, msg, "O", o) < 0)
        (void)flux_respond_error(h, msg, o ? errno : ENOMEM, NULL);
    json_decref(o);
}

static void on_ping(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    char *route = flux_msg_route_string(msg);
    uint32_t userid = FLUX_USERID_UNKNOWN, rolemask = 0;
    json_t *payload, *o = NULL;

    (void)flux_msg_get_userid(msg, &userid);
    (void)flux_msg_get_rolemask(msg, &rolemask);
    if (flux_request_unpack(msg, NULL, "o", &payload) == 0 && (o = json_copy(payload))) {
        (void)json_object_set_new(o, "userid", json_integer(userid));
        (void)json_object_set_new(o, "rolemask", json_integer(rolemask));
        (void)json_object_set_new(o, "route", json_string(route ? route : ""));
        respond(h, msg, o);
    } else {
        (void)flux_respond_error(h, msg, EPROTO, NULL);
    }
    free(route);
}

static double uptime(const struct methods *m)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - m->started.tv_sec) +
           (double)(now.tv_nsec - m->started.tv_nsec) * 1E-9;
}

static void on_stats_get(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    const struct methods *m = arg;
    flux_msgcounters_t n;

    flux_get_msgcounters(h, &n);
    respond(h, msg,
            json_pack("{s:f s:i s:i s:{s:i s:i s:i s:i} s:{s:i s:i s:i s:i}}", "uptime", uptime(m),
                      "pid", (int)getpid(), "debug", m->debug_flags, "tx", "request", n.request_tx,
                      "response", n.response_tx, "event", n.event_tx, "control", n.control_tx, "rx",
                      "request", n.request_rx, "response", n.response_rx, "event", n.event_rx,
                      "control", n.control_rx));
}

static void on_stats_clear(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    flux_clr_msgcounters(h);
    (void)flux_respond(h, msg, NULL);
}

static double seconds(struct timeval tv)
{
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void on_rusage(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct rusage ru;

    (void)getrusage(RUSAGE_SELF, &ru);
    respond(h, msg,
            json_pack("{s:f s:f s:I s:I s:I s:I s:I s:I s:I}", "utime", seconds(ru.ru_utime),
                      "stime", seconds(ru.ru_stime), "maxrss", (json_int_t)ru.ru_maxrss, "minflt",
                      (json_int_t)ru.ru_minflt, "majflt", (json_int_t)ru.ru_majflt, "inblock",
                      (json_int_t)ru.ru_inblock, "oublock", (json_int_t)ru.ru_oublock, "nvcsw",
                      (json_int_t)ru.ru_nvcsw, "nivcsw", (json_int_t)ru.ru_nivcsw));
}

static void on_debug(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct methods *m = arg;
    json_int_t flags = 0;
    const char *op;

    if (flux_request_unpack(msg, NULL, "{s:s s?I}", "op", &op, "flags", &flags) < 0) {
        (void)flux_respond_error(h, msg, EPROTO, NULL);
        return;
    }
    if (strcmp(op, "setbit") == 0)
        m->debug_flags |= (int)flags;
    else if (strcmp(op, "clrbit") == 0)
        m->debug_flags &= ~(int)flags;
    else if (strcmp(op, "set") == 0)
        m->debug_flags = (int)flags;
    else if (strcmp(op, "clr") == 0)
        m->debug_flags = 0;
    else if (strcmp(op, "get") != 0) {
        (void)flux_respond_error(h, msg, EINVAL, "op must be setbit, clrbit, set, clr or get");
        return;
    }
    respond(h, msg, json_pack("{s:I}", "flags", (json_int_t)(unsigned int)m->debug_flags));
}

static void on_shutdown(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct methods *m = arg;

    (void)flux_respond(h, msg, NULL);
    m->on_shutdown(m->arg);
}

/* Sent by routers, without a response. */
static void on_disconnect(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
}

static const struct {
    const char *method;
    flux_msg_handler_f cb;
    uint32_t roles; /* besides the owner */
} table[NMETHODS] = {
    { "debug", on_debug, 0 },
    { "disconnect", on_disconnect, FLUX_ROLE_USER },
    { "ping", on_ping, FLUX_ROLE_USER },
    { "rusage", on_rusage, FLUX_ROLE_USER },
    { "shutdown", on_shutdown, 0 },
    { "stats-clear", on_stats_clear, 0 },
    { "stats-get", on_stats_get, FLUX_ROLE_USER },
};

struct methods *methods_new(flux_t *h, const char *name, void (*on_end)(void *arg), void *arg)
{
    struct methods *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->on_shutdown = on_end;
    m->arg = arg;
    (void)clock_gettime(CLOCK_MONOTONIC, &m->started);
    for (size_t i = 0; i < NMETHODS; i++) {
        struct flux_match match = FLUX_MATCH_REQUEST;

        if (asprintf(&m->topics[i], "%s.%s", name, table[i].method) < 0) {
            m->topics[i] = NULL;
            return methods_free(m);
        }
        match.topic_glob = m->topics[i];
        if (!(m->handlers[i] = flux_msg_handler_create(h, match, table[i].cb, m)))
            return methods_free(m);
        flux_msg_handler_allow_rolemask(m->handlers[i], table[i].roles);
        flux_msg_handler_start(m->handlers[i]);
    }
    if (flux_aux_set(h, DEBUG_FLAGS, &m->debug_flags, NULL) < 0)
        return methods_free(m);
    return m;
}

struct methods *methods_free(struct methods *m)
{
    int saved_errno = errno;

    for (size_t i = 0; m && i < NMETHODS; i++) {
        flux_msg_handler_destroy(m->handlers[i]);
        free(m->topics[i]);
    }
    free(m);
    errno = saved_errno;
    return NULL;
}
