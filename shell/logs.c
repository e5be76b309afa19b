/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Batched, acknowledged, repeatable appends.
 *
 *     IDLE --append--> (timer) --> COMMIT --ok--> IDLE
 *                                    | connection or service lost
 *                                    v
 *        an empty commit (delay) VERIFY --not there--> COMMIT
 *                           |       `----there-------> IDLE
 *                           `-- still away: VERIFY again
 *
 * DEAD: the namespace refuses us for good (removed, not ours). What waits is dropped, and the shell
 * is told, since nobody will ever see what its tasks do. */
#include <string.h>

#include "base/eventlog.h"
#include "logs.h"

#define FLUSH_DELAY 0.03 /* seconds that text waits for more */
#define FLUSH_AT    (256 * 1024)
#define RETRY_MIN   0.1
#define RETRY_MAX   2.

DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

static const char *const keys[LOGS_COUNT] = {
    [LOGS_EXEC] = "exec.eventlog",
    [LOGS_OUTPUT] = "output",
    [LOGS_INPUT] = "input",
};

struct log {
    char *data;
    size_t size, capacity;
    size_t in_flight; /* of data, from its start */
    uint64_t written; /* length of the log in the KVS, as far as it was acknowledged */
};

struct logs {
    flux_t *h;
    char *ns;
    struct logs_events events;
    struct logs_relay relay; /* append NULL: none */
    struct log log[LOGS_COUNT];
    flux_future_t *f; /* commit or look-up */
    flux_watcher_t *timer, *retry;
    double gather; /* seconds that text waits for more */
    double delay;  /* of the next retry */
    bool was_full;
    bool dead;
    void (*finish)(void *arg);
    void *finish_arg;
};

static void commit(struct logs *logs);
static void verify(struct logs *logs);

void logs_set_delay(struct logs *logs, double seconds)
{
    logs->gather = seconds;
}

static size_t waiting(const struct logs *logs)
{
    size_t n = 0;

    for (int i = 0; i < LOGS_COUNT; i++)
        n += logs->log[i].size;
    return n;
}

bool logs_is_full(const struct logs *logs)
{
    return logs->relay.append ? logs->relay.is_full(logs->relay.arg) : waiting(logs) >= LOGS_FULL;
}

bool logs_is_empty(const struct logs *logs, enum log_name name)
{
    return logs->log[name].written == 0 && logs->log[name].size == 0;
}

static void check_finished(struct logs *logs)
{
    void (*cb)(void *) = logs->finish;

    if (!cb || logs->f || waiting(logs) > 0)
        return;
    logs->finish = NULL;
    cb(logs->finish_arg);
}

/* Decide what is next, after anything changed. */
static void proceed(struct logs *logs)
{
    const size_t n = waiting(logs);

    if (logs->f || flux_watcher_is_active(logs->retry))
        return;
    if (n > 0 && (logs->finish || n >= FLUSH_AT)) {
        flux_watcher_stop(logs->timer);
        commit(logs);
    } else if (n > 0 && !flux_watcher_is_active(logs->timer)) {
        flux_timer_watcher_reset(logs->timer, logs->gather, 0.);
        flux_watcher_start(logs->timer);
    }
    check_finished(logs);
}

static void die(struct logs *logs, const char *why)
{
    logs->dead = true;
    flux_watcher_stop(logs->timer);
    flux_watcher_stop(logs->retry);
    for (int i = 0; i < LOGS_COUNT; i++)
        logs->log[i].size = logs->log[i].in_flight = 0;
    logs->events.on_dead(logs->events.arg, why);
    check_finished(logs);
}

static void acknowledged(struct logs *logs)
{
    for (int i = 0; i < LOGS_COUNT; i++) {
        struct log *log = &logs->log[i];

        if (log->in_flight == 0)
            continue;
        memmove(log->data, log->data + log->in_flight, log->size - log->in_flight);
        log->size -= log->in_flight;
        log->written += log->in_flight;
        log->in_flight = 0;
    }
    logs->delay = RETRY_MIN;
    if (logs->was_full && waiting(logs) < LOGS_FULL / 2) {
        logs->was_full = false;
        logs->events.on_room(logs->events.arg);
    }
    proceed(logs);
}

/* Errors that say "never"; all others say that somebody is being restarted. */
static bool is_final(int errnum)
{
    return errnum == ENOTSUP || errnum == EPERM || errnum == EINVAL || errnum == EFBIG;
}

static void failed(struct logs *logs, int errnum, const char *why)
{
    if (is_final(errnum)) {
        die(logs, why);
        return;
    }
    flux_timer_watcher_reset(logs->retry, logs->delay, 0.);
    flux_watcher_start(logs->retry);
    logs->delay = logs->delay * 2 < RETRY_MAX ? logs->delay * 2 : RETRY_MAX;
}

static void on_commit(flux_future_t *f, void *arg)
{
    struct logs *logs = arg;
    const int errnum = flux_future_get(f, NULL) < 0 ? errno : 0;

    logs->f = NULL;
    if (errnum)
        failed(logs, errnum, flux_future_error_string(f));
    else
        acknowledged(logs);
    flux_future_destroy(f);
}

static int fill(struct logs *logs, flux_kvs_txn_t *txn)
{
    for (int i = 0; i < LOGS_COUNT; i++) {
        struct log *log = &logs->log[i];

        log->in_flight = log->size;
        if (log->size > 0 &&
            flux_kvs_txn_put_raw(txn, FLUX_KVS_APPEND, keys[i], log->data, (int)log->size) < 0)
            return -errno;
    }
    return 0;
}

static void commit(struct logs *logs)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    int rc = txn ? fill(logs, txn) : -ENOMEM;

    if (rc == 0) {
        logs->f = flux_kvs_commit(logs->h, logs->ns, 0, txn);
        if (!logs->f || flux_future_then(logs->f, -1., on_commit, logs) < 0)
            rc = -errno;
    }
    flux_kvs_txn_destroy(txn);
    if (rc < 0) {
        flux_future_destroy(logs->f);
        logs->f = NULL;
        failed(logs, -rc, strerror(-rc));
    }
}

/* The first log that takes part in the commit stands for all: a commit is applied whole or not. */
static const struct log *witness(const struct logs *logs, const char **ret_key)
{
    for (int i = 0; i < LOGS_COUNT; i++)
        if (logs->log[i].in_flight > 0) {
            *ret_key = keys[i];
            return &logs->log[i];
        }
    return NULL;
}

static void on_length(flux_future_t *f, void *arg)
{
    struct logs *logs = arg;
    const char *key;
    const struct log *log = witness(logs, &key);
    const void *data;
    int len = 0, errnum = 0;

    if (flux_kvs_lookup_get_raw(f, &data, &len) < 0)
        errnum = errno;
    logs->f = NULL;
    if (errnum && errnum != ENOENT)
        failed(logs, errnum, flux_future_error_string(f));
    else if ((uint64_t)len >= log->written + log->in_flight)
        acknowledged(logs);
    else
        commit(logs);
    flux_future_destroy(f);
}

static void wait_with(struct logs *logs, flux_future_t *f, flux_continuation_f cb)
{
    logs->f = f;
    if (f && flux_future_then(f, -1., cb, logs) == 0)
        return;
    flux_future_destroy(f);
    logs->f = NULL;
    failed(logs, errno, strerror(errno));
}

static void on_settled(flux_future_t *f, void *arg)
{
    struct logs *logs = arg;
    const int errnum = flux_future_get(f, NULL) < 0 ? errno : 0;
    const char *key;

    logs->f = NULL;
    if (errnum)
        failed(logs, errnum, flux_future_error_string(f));
    else if (witness(logs, &key))
        wait_with(logs, flux_kvs_lookup(logs->h, logs->ns, 0, key), on_length);
    flux_future_destroy(f);
}

/* Our commit may still be under way within the key-value store: the way to it was lost, not the
 * store. Commits are done in order, so that the one before is done or lost when an empty one is. */
static void verify(struct logs *logs)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *empty = NULL;
    const char *key;

    if (!witness(logs, &key)) {
        proceed(logs);
        return;
    }
    empty = flux_kvs_txn_create();
    wait_with(logs, empty ? flux_kvs_commit(logs->h, logs->ns, 0, empty) : NULL, on_settled);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct logs *logs = arg;

    if (!logs->f && waiting(logs) > 0)
        commit(logs);
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    verify(arg);
}

int logs_new(flux_t *h, const char *ns, const struct logs_events *events, struct logs **ret)
{
    CLEANUP(logs_freep) struct logs *logs = calloc(1, sizeof(*logs));
    flux_reactor_t *r = flux_get_reactor(h);

    if (!logs || !(logs->ns = strdup(ns)))
        return -ENOMEM;
    logs->h = h;
    logs->events = *events;
    logs->gather = FLUSH_DELAY;
    logs->delay = RETRY_MIN;
    logs->timer = flux_timer_watcher_create(r, FLUSH_DELAY, 0., on_timer, logs);
    logs->retry = flux_timer_watcher_create(r, RETRY_MIN, 0., on_retry, logs);
    if (!logs->timer || !logs->retry)
        return -errno;
    *ret = TAKE(logs);
    return 0;
}

int logs_new_relay(const struct logs_relay *relay, struct logs **ret)
{
    struct logs *logs = calloc(1, sizeof(*logs));

    if (!logs)
        return -ENOMEM;
    logs->relay = *relay;
    *ret = logs;
    return 0;
}

struct logs *logs_free(struct logs *logs)
{
    if (logs) {
        flux_watcher_destroy(logs->retry);
        flux_watcher_destroy(logs->timer);
        flux_future_destroy(logs->f);
        for (int i = 0; i < LOGS_COUNT; i++)
            free(logs->log[i].data);
        free(logs->ns);
        free(logs);
    }
    return NULL;
}

int logs_append(struct logs *logs, enum log_name name, const char *text, size_t len)
{
    struct log *log = &logs->log[name];

    if (logs->dead || len == 0)
        return 0;
    if (logs->relay.append)
        return logs->relay.append(logs->relay.arg, name, text, len);
    if (log->capacity - log->size < len) {
        const size_t capacity = (log->size + len) * 2 + 1024;
        char *grown = realloc(log->data, capacity);

        if (!grown)
            return -ENOMEM;
        log->data = grown;
        log->capacity = capacity;
    }
    memcpy(log->data + log->size, text, len);
    log->size += len;
    if (logs_is_full(logs))
        logs->was_full = true;
    proceed(logs);
    return 0;
}

int logs_event_json(struct logs *logs, enum log_name name, const char *event, json_t *context)
{
    CLEANUP(json_decrefp) json_t *entry = eventlog_entry_create(0, event, context);
    CLEANUP(freep) char *line = entry ? eventlog_entry_encode(entry) : NULL;

    return line ? logs_append(logs, name, line, strlen(line)) : -ENOMEM;
}

int logs_event(struct logs *logs, enum log_name name, const char *event, const char *fmt, ...)
{
    CLEANUP(json_decrefp) json_t *context = NULL;
    va_list ap;

    if (fmt) {
        va_start(ap, fmt);
        context = json_vpack_ex(NULL, 0, fmt, ap);
        va_end(ap);
        if (!context)
            return -ENOMEM;
    }
    return logs_event_json(logs, name, event, context);
}

void logs_finish(struct logs *logs, void (*cb)(void *arg), void *arg)
{
    if (logs->relay.append) {
        logs->relay.finish(logs->relay.arg, cb, arg);
        return;
    }
    logs->finish = cb;
    logs->finish_arg = arg;
    proceed(logs);
}
