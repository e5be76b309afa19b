/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What every daemon's main() shares: sockets passed by name, a connection to the router of the
 * node, sd_notify, watchdog, configuration, dispatch with role and shape checks, quotas,
 * statistics, an orderly end.
 *
 * A daemon's main():
 *
 *     static const struct rpc_method methods[] = { ... };
 *     static const struct service_desc desc = { .name = "kvs", .methods = methods, .nmethods = ...,
 * };
 *
 *     int main(int argc, char **argv)
 *     {
 *         CLEANUP(service_freep) struct service *svc = NULL;
 *         CLEANUP(manager_freep) struct manager *m = NULL;
 *
 *         if (service_new(&desc, argc, argv, &svc) < 0 || manager_new(svc, &m) < 0)
 *             return EXIT_FAILURE;
 *         return service_run(svc, m);
 *     }
 *
 * Environment: FLUX_RUNDIR (runtime directory, required), LISTEN_FDS/LISTEN_FDNAMES, NOTIFY_SOCKET,
 * WATCHDOG_USEC, STATE_DIRECTORY, FLUX_LOG_DIR (JSON lines instead of the journal), FLUX_LOG_LEVEL,
 * FLUX_START_TIMEOUT (seconds to wait for each answer while starting, default 20).
 *
 * Crash-only: a service that loses its connection to the router logs that and exits with
 * SERVICE_EXIT_ROUTER; the service manager starts it again and it rebuilds its state, which is the
 * one recovery path.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <jansson.h>
#include <flux/core.h>
#include "base/cleanup.h"

#define SERVICE_EXIT_ROUTER 75 /* EX_TEMPFAIL */

struct service;
struct request;

#define ROLE_OWNER FLUX_ROLE_OWNER
#define ROLE_USER  (FLUX_ROLE_OWNER | FLUX_ROLE_USER)

enum rpc_method_flags {
    RPC_METHOD_RAW = 1,        /* payload is not JSON: no decoding, request_raw() */
    RPC_METHOD_STREAMING = 2,  /* refuse (EPROTO) requests without the streaming flag */
    RPC_METHOD_NORESPONSE = 4, /* the handler never answers */
    /* A planned restart: the next process gets a request that this one has not answered to its end,
     * as if it had just come. For methods that change nothing until they answer, or may be
     * repeated; a stream says how far it got (on_handover, request_resume()). Without this flag
     * such a request is answered ECONNRESET, so finish what was begun in on_stop. */
    RPC_METHOD_RESUME = 8,
    /* Part of a protocol between two daemons that begins with a greeting: a connection over which
     * it was called ends with this process, and they begin anew. */
    RPC_METHOD_SESSION = 16
};

struct rpc_method {
    const char *topic; /* whole topic: "kvs.lookup" */
    uint32_t roles;    /* mask of roles that may call */
    const char *in;    /* shape (jsonx_check_shape) of the payload; NULL: payload ignored or raw */
    unsigned int flags;
    /* 0: answered or kept (request_ref). Negative errno: the shim answers with it and the sentence
     * given by request_explain(), if any. arg: the second argument of service_run(). */
    int (*fn)(struct request *req, void *arg);
};

struct service_desc {
    const char *name; /* "kvs": daemon flux-kvs, first socket name "kvs" */
    const struct rpc_method *methods;
    size_t nmethods;
    /* All optional; arg as above. */
    void (*on_stats)(json_t *stats, void *arg); /* add to SERVICE.stats-get */
    void (*on_stats_clear)(void *arg);          /* SERVICE.stats-clear: begin to count anew */
    int (*on_config)(const json_t *config, void *arg,
                     flux_error_t *error); /* reload; config lent */
    /* A client (first route; none: one that was connected here himself) went away. */
    void (*on_disconnect)(const flux_msg_t *msg, void *arg);
    void (*on_event)(const flux_msg_t *msg,
                     void *arg); /* events subscribed through service_flux() */
    int (*on_stop)(void *arg);   /* SIGTERM: begin to finish; call service_exit() when done. NULL:
                                    exit at once */
    /* The loop has ended, for whatever reason: answer what can be answered, the next process would
     * begin with it again or refuse it. */
    void (*on_end)(void *arg);
    /* How far a kept request of a method with RPC_METHOD_RESUME got, for request_resume() in the
     * next process; a new object, or NULL: from its beginning. */
    json_t *(*on_handover)(struct request *req, void *arg);
    void (*on_accept)(int fd, void *arg); /* serve connections yourself; consumes fd */
    bool standalone;         /* true for the router itself: no connection to "local" is opened */
    bool allow_guests;       /* accept connections of users other than the owner on its sockets */
    const char *usage_extra; /* lines for --help after the common options, or NULL */
};

/* Parses --help --version, connects to RUNDIR/local unless standalone, fetches rank, size, config.
 * Logs the reason of a failure. 0 or -errno. */
int service_new(const struct service_desc *desc, int argc, char **argv, struct service **ret);
struct service *service_free(struct service *svc);
DEFINE_CLEANUP(struct service *, service_free)

/* READY=1, then the loop until SIGTERM, SIGINT, service_exit() or the loss of the router. Returns
 * the exit status. */
int service_run(struct service *svc, void *arg);
void service_exit(struct service *svc, int status);
/* Before service_run(): do not tell the service manager READY=1 until service_ready(). As long as
 * the loop runs the start is not cut off by TimeoutStartSec=: it waits for others. 0 or -ENOMEM. */
int service_hold_ready(struct service *svc);
void service_ready(struct service *svc);
/* Before service_run(), after each step of something long (a job read, a record replayed): the
 * start goes on, and TimeoutStartSec= begins anew. Without progress it ends the daemon, as it
 * should. Costs next to nothing. */
void service_progress(struct service *svc);
/* Before a step that blocks: it may take so long. */
void service_allow(struct service *svc, unsigned int seconds);

/* From now on each request is answered with this error and sentence; not those that every service
 * has, and those that are not answered. For a daemon that cannot do its work, and says why instead
 * of ending only to be started again. */
void service_refuse(struct service *svc, int errnum, const char *why);

/* The same because the KVS answered with this error: it is asked again until it has the key (or
 * says that there is none), then the process ends with SERVICE_EXIT_ROUTER, to begin anew. key
 * NULL: until it serves at all. 0 or -errno: this is not how a KVS refuses, or no memory. */
int service_wait_for_kvs(struct service *svc, const char *key, int errnum, const char *why);
/* Instead of service_run(), when the daemon could not read from the KVS what it needs: if the KVS
 * refuses everything, refuses so, too, until it does no more; else ends. The exit status. */
int service_run_without_kvs(struct service *svc);

/* Before service_run(): the daemon cannot begin with its configuration, and is about to end. The
 * sentence is logged, and is the status of the unit. If the process before this one ended for the
 * same reason nothing is logged, and this does not return: it waits until the router has another
 * configuration (is_mended: until that says so, asked once a second), and ends then, to be started
 * again. */
void service_misconfigured(struct service *svc, const char *sentence, bool (*is_mended)(void *arg),
                           void *arg);
/* The same for a daemon that goes on to service_run(), because others wait for its answers: each
 * request is answered EINVAL with the sentence (service_refuse()). Its on_config ends it when a
 * configuration comes that it takes: SERVICE_EXIT_ROUTER. See lastgood.h for a better way. */
void service_misconfigured_serve(struct service *svc, const char *sentence);

/* It was told to stop, or the router said that the instance ends now. */
bool service_is_ending(const struct service *svc);
flux_t *service_flux(struct service *svc); /* own connection to the router; NULL if standalone */
flux_reactor_t *service_reactor(struct service *svc);
uint32_t service_rank(const struct service *svc);
uint32_t service_size(const struct service *svc);
uid_t service_owner(const struct service *svc); /* the instance owner: geteuid() */
const char *service_rundir(const struct service *svc);
const char *service_statedir(const struct service *svc); /* NULL: keep nothing over a reboot */
/* Whole configuration, lent until the next reload; never NULL. */
const json_t *service_config(const struct service *svc);
/* Value at a dotted path ("content.sync"), lent; NULL if absent. */
json_t *service_config_get(const struct service *svc, const char *path);
/* STATUS= for systemctl status, in words an administrator understands. Sent only when the text
 * changes, and at most once a second: call it as often as you like. */
void service_status(struct service *svc, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A listening socket by its FileDescriptorName=, stolen from the skeleton so that it is not
 * accepted on; -ENOENT. */
int service_take_listen_fd(struct service *svc, const char *name);

/* --- requests: a request is a deferred handle. It dies with its client, and answers ECANCELED if
 * it is dropped (last unref) unanswered (ECONNRESET while the daemon ends). Answering ends it,
 * except when the request is streaming: then respond* may be called many times and request_end()
 * (ENODATA) or request_fail() ends it. A request with matchtag 0 that wants responses (RFC 27, RFC
 * 32) may be answered many times too; it ends with its last reference, silently, or by
 * request_fail(). */
struct request *request_ref(struct request *req);
struct request *request_unref(struct request *req);
DEFINE_CLEANUP(struct request *, request_unref)

struct service *request_service(const struct request *req);
const flux_msg_t *request_msg(const struct request *req);
const char *request_topic(const struct request *req);
uint32_t request_userid(const struct request *req);
bool request_is_owner(const struct request *req); /* has the owner role */
bool request_is_streaming(const struct request *req);
bool request_gone(const struct request *req);          /* answered to the end, or its client left */
const json_t *request_json(const struct request *req); /* decoded payload; NULL for RAW or none */
/* What on_handover of the process before said of this request; NULL: it begins now. */
const json_t *request_resume(const struct request *req);
int request_unpack(const struct request *req, const char *fmt, ...); /* 0 or -EPROTO */
void request_raw(const struct request *req, const void **ret_data, size_t *ret_size);

int request_respond(struct request *req, const char *json); /* json may be NULL: empty */
int request_respond_json(struct request *req, const json_t *o);
int request_respond_pack(struct request *req, const char *fmt, ...);
int request_respond_raw(struct request *req, const void *data, size_t size);
int request_end(struct request *req); /* ENODATA */
/* Answers with an error and a sentence (fmt may be NULL). Always returns 0, for "return
 * request_fail(...)". */
int request_fail(struct request *req, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Attach the sentence that the shim sends with the negative errno about to be returned; returns
 * -errnum. */
int request_explain(struct request *req, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Answer with the negative errno that a handler returned, and what it explained. */
int request_refuse(struct request *req, int rc);
/* Called once when the client leaves (or cancels by disconnecting) before the end. */
void request_on_gone(struct request *req, void (*cb)(struct request *req, void *arg), void *arg);
/* Do both come from the same client? */
bool request_same_client(const struct request *a, const struct request *b);
/* Equal for requests of the same client that have the same number: a key for tables of requests by
 * matchtag. */
uint64_t request_client_hash(const struct request *req, uint32_t number);

#endif
