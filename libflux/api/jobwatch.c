/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watching an eventlog of a job, wherever it is at the moment.
 *
 * "eventlog" is in the primary namespace until the end of time: it is watched until the event
 * "clean". "guest.X" wanders: first it does not exist, then it is X in the namespace of the job,
 * and when the job has ended it is below job.DOTHEX.guest in the primary namespace:
 *
 *   WAITING --link exists--> LIVE --namespace is gone--> ARCHIVED
 *      \______ archived already, or the job ended without ______/
 *
 * Every byte is delivered once: LIVE counts what it has seen, ARCHIVED skips as much. A user who
 * may not read the primary namespace (EPERM) is served by job-info instead, which checks whose job
 * it is. So is one whose node has not heard of the job or of its archive yet: nodes that were cut
 * off for a moment show an older state than the one that others have told of. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <flux/job.h>
#include <flux/kvs.h>
#include <flux/rpc.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/eventlog.h"
#include "base/jsonx.h"
#include "rpc/future_impl.h"

#define WATCH_LOG (FLUX_KVS_WAITCREATE | FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND)
#define GUEST     "guest."

struct jobwatch;

/* One stream from a service. */
struct stream {
    struct jobwatch *w;
    flux_future_t *f; /* NULL: not open */
    const char *cancel_topic;
    struct future_listener listener;
    void (*on_response)(struct jobwatch *w, const json_t *o);
    void (*on_end)(struct jobwatch *w, int errnum, const char *errstr);
};

struct jobwatch {
    flux_future_t *f;
    flux_t *h;
    flux_jobid_t id;
    const char *guest_key; /* X of "guest.X", or NULL */
    struct stream main;    /* the eventlog of the job */
    struct stream data;    /* what is to be delivered, if it is something else; or the link */
    size_t seen;           /* bytes of the log that were taken in */
    size_t skip;           /* bytes of the next value that are known already */
    char *partial;         /* the begin of a line */
    size_t partial_len;
    bool asked; /* job-info, which knows the latest */
    bool ended;
    char path[];
};

static void start_waiting(struct jobwatch *w);
static void start_archived(struct jobwatch *w);
static void start_job_info(struct jobwatch *w);

/* --- streams --- */

static void stream_close(struct stream *s)
{
    flux_future_t *f = s->f;

    if (!f)
        return;
    s->f = NULL;
    future_unlisten(f, &s->listener);
    if (s->cancel_topic && !flux_future_has_error(f))
        flux_future_destroy(flux_rpc_pack(s->w->h, s->cancel_topic, FLUX_NODEID_ANY,
                                          FLUX_RPC_NORESPONSE, "{s:i}", "matchtag",
                                          (int)flux_rpc_get_matchtag(f)));
    flux_future_destroy(f);
}

static void end(struct jobwatch *w, int errnum, const char *errstr)
{
    if (w->ended)
        return;
    w->ended = true;
    flux_future_fulfill_error(w->f, errnum, errstr);
    stream_close(&w->main);
    stream_close(&w->data);
}

static void on_stream(flux_future_t *f, void *arg)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct stream *s = arg;
    const char *text = NULL;

    if (flux_rpc_get(f, &text) < 0) {
        int errnum = errno;

        (void)future_ref(f); /* the sentence is lent by it */
        stream_close(s);
        s->on_end(s->w, errnum, flux_future_error_string(f));
        future_unref(f);
        return;
    }
    o = text ? jsonx_decode_object(text, strlen(text), NULL) : NULL;
    if (!o) {
        end(s->w, EPROTO, "a watch response is not an object");
        return;
    }
    s->on_response(s->w, o);
    if (s->f == f)
        flux_future_reset(f);
}

/* Takes over f (NULL: opening failed, errno says why). */
static void stream_open(struct stream *s, flux_future_t *f, const char *cancel_topic)
{
    if (!f) {
        end(s->w, errno, NULL);
        return;
    }
    s->f = f;
    s->cancel_topic = cancel_topic;
    s->listener = (struct future_listener){ .fn = on_stream, .arg = s };
    future_listen(f, &s->listener);
    if (flux_future_is_ready(f))
        on_stream(f, s);
    else
        future_join(f, s->w->f);
}

static flux_future_t *watch_key(struct jobwatch *w, const char *ns, const char *key, int flags)
{
    return flux_rpc_pack(w->h, "kvs-watch.lookup", FLUX_NODEID_ANY, FLUX_RPC_STREAMING,
                         "{s:s s:i s:s}", "key", key, "flags", flags, "namespace", ns);
}

/* --- values --- */

/* The data of a val object, malloc'd; NULL with errno. */
static char *value_decode(const json_t *o, size_t *ret_size)
{
    const char *type, *data;
    size_t len;

    if (json_unpack((json_t *)o, "{s:{s:s s:s%}}", "val", "type", &type, "data", &data, &len) < 0 ||
        strcmp(type, "val") != 0) {
        errno = EPROTO;
        return NULL;
    }
    return base64_decode(data, len, ret_size);
}

/* Is this line the event of that name? */
static bool is_event(const char *line, size_t len, const char *wanted)
{
    CLEANUP(json_decrefp) json_t *o = eventlog_entry_decode(line, len, NULL);
    const char *name;

    return o && eventlog_entry_parse(o, NULL, &name, NULL) == 0 && strcmp(name, wanted) == 0;
}

static int deliver_line(struct jobwatch *w, const char *line, size_t len)
{
    char *copy = malloc(w->partial_len + len + 1);

    if (!copy)
        return -1;
    if (w->partial_len > 0)
        memcpy(copy, w->partial, w->partial_len);
    memcpy(copy + w->partial_len, line, len);
    copy[w->partial_len + len] = '\0';
    w->partial_len = 0;
    flux_future_fulfill(w->f, copy, free);
    /* Only the eventlog of the job ends by itself. */
    if (!w->guest_key && is_event(copy, strlen(copy), "clean"))
        end(w, ENODATA, NULL);
    return 0;
}

static int keep_partial(struct jobwatch *w, const char *s, size_t len)
{
    char *p;

    if (len == 0)
        return 0;
    p = realloc(w->partial, w->partial_len + len);
    if (!p)
        return -1;
    memcpy(p + w->partial_len, s, len);
    w->partial = p;
    w->partial_len += len;
    return 0;
}

static int deliver_text(struct jobwatch *w, const char *s, size_t len)
{
    while (len > 0 && !w->ended) {
        const char *nl = memchr(s, '\n', len);
        size_t n = nl ? (size_t)(nl - s) : len;

        if ((nl ? deliver_line(w, s, n) : keep_partial(w, s, n)) < 0)
            return -1;
        n += nl != NULL;
        s += n;
        len -= n;
    }
    return 0;
}

static void on_value(struct jobwatch *w, const json_t *o)
{
    CLEANUP(freep) char *text = NULL;
    size_t size = 0;
    size_t skip;

    text = value_decode(o, &size);
    if (!text) {
        end(w, EPROTO, "a watched value is not valid");
        return;
    }
    skip = w->skip < size ? w->skip : size;
    w->skip -= skip;
    w->seen += size - skip;
    (void)future_ref(w->f);
    if (deliver_text(w, text + skip, size - skip) < 0)
        end(w, ENOMEM, NULL);
    future_unref(w->f);
}

/* --- the eventlog of the job --- */

static void on_log_end(struct jobwatch *w, int errnum, const char *errstr)
{
    if ((errnum == EPERM || errnum == ENOENT) && !w->asked)
        start_job_info(w);
    else if (errnum == ENOENT)
        end(w, errnum, "there is no such job");
    else
        end(w, errnum, errstr);
}

static void start_log(struct jobwatch *w)
{
    char key[64];

    if (flux_job_kvs_key(key, sizeof(key), w->id, "eventlog") < 0) {
        end(w, errno, NULL);
        return;
    }
    /* Not waited for: it was committed before anybody was told the id. */
    stream_open(&w->main,
                watch_key(w, KVS_PRIMARY_NAMESPACE, key, FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND),
                "kvs-watch.cancel");
}

/* --- guest logs --- */

/* WAITING: the job may end without ever having run. */
static void on_life(struct jobwatch *w, const json_t *o)
{
    CLEANUP(freep) char *text = NULL;
    size_t size = 0;
    const char *line;

    text = value_decode(o, &size);
    for (line = text; line && size > 0;) {
        const char *nl = memchr(line, '\n', size);
        size_t n = nl ? (size_t)(nl - line) : size;

        if (is_event(line, n, "clean")) {
            stream_close(&w->main);
            stream_close(&w->data);
            start_archived(w);
            return;
        }
        n += nl != NULL;
        line += n;
        size -= n;
    }
}

static void on_live_end(struct jobwatch *w, int errnum, const char *errstr)
{
    if (errnum == ENOTSUP || errnum == ENODATA)
        start_archived(w);
    else
        end(w, errnum, errstr);
}

static void start_live(struct jobwatch *w)
{
    char ns[32];

    if (flux_job_kvs_namespace(ns, sizeof(ns), w->id) < 0) {
        end(w, errno, NULL);
        return;
    }
    w->data.on_response = on_value;
    w->data.on_end = on_live_end;
    stream_open(&w->data, watch_key(w, ns, w->guest_key, WATCH_LOG), "kvs-watch.cancel");
}

/* What job.DOTHEX.guest is: a link to the namespace, or the archive of it. */
static void on_link(struct jobwatch *w, const json_t *o)
{
    const char *type;

    if (json_unpack((json_t *)o, "{s:{s:s}}", "val", "type", &type) < 0) {
        end(w, EPROTO, "a watched link is not valid");
        return;
    }
    /* Whether the job ends is from now on known from its namespace. */
    stream_close(&w->main);
    stream_close(&w->data);
    if (strcmp(type, "symlink") == 0)
        start_live(w);
    else
        start_archived(w);
}

static void on_link_end(struct jobwatch *w, int errnum, const char *errstr)
{
    stream_close(&w->main);
    on_log_end(w, errnum, errstr);
}

static void on_life_end(struct jobwatch *w, int errnum, const char *errstr)
{
    stream_close(&w->data);
    on_log_end(w, errnum, errstr);
}

static void start_waiting(struct jobwatch *w)
{
    char key[64];

    w->data.on_response = on_link;
    w->data.on_end = on_link_end;
    if (flux_job_kvs_key(key, sizeof(key), w->id, "guest") < 0) {
        end(w, errno, NULL);
        return;
    }
    stream_open(&w->data,
                watch_key(w, KVS_PRIMARY_NAMESPACE, key,
                          FLUX_KVS_WAITCREATE | FLUX_KVS_WATCH | FLUX_KVS_TREEOBJ),
                "kvs-watch.cancel");
    if (w->ended)
        return;
    w->main.on_response = on_life;
    w->main.on_end = on_life_end;
    start_log(w);
}

static void on_archived(struct jobwatch *w, const json_t *o)
{
    on_value(w, o);
    end(w, ENODATA, NULL);
}

static void on_archived_end(struct jobwatch *w, int errnum, const char *errstr)
{
    const bool absent = errnum == ENOENT || errnum == ENOTDIR || errnum == ENOTSUP;

    if (absent && !w->asked)
        start_job_info(w);
    else /* a job that never wrote the log has none */
        end(w, absent ? ENODATA : errnum, errstr);
}

static void start_archived(struct jobwatch *w)
{
    CLEANUP(freep) char *key = NULL;
    char base[64];

    if (flux_job_kvs_key(base, sizeof(base), w->id, "guest") < 0 ||
        asprintf(&key, "%s.%s", base, w->guest_key) < 0) {
        end(w, ENOMEM, NULL);
        return;
    }
    w->skip = w->seen;
    w->data.on_response = on_archived;
    w->data.on_end = on_archived_end;
    stream_open(&w->data,
                flux_rpc_pack(w->h, "kvs.lookup", FLUX_NODEID_ANY, 0, "{s:s s:i s:s}", "key", key,
                              "flags", 0, "namespace", KVS_PRIMARY_NAMESPACE),
                NULL);
}

/* --- by job-info --- */

/* Its events come with or without their newlines. */
static int deliver_event(struct jobwatch *w, const char *text, size_t len)
{
    const size_t skip = w->skip < len ? w->skip : len;
    const bool newline = len == 0 || text[len - 1] != '\n';

    w->skip -= skip;
    if (deliver_text(w, text + skip, len - skip) < 0)
        return -1;
    if (newline && w->skip > 0)
        w->skip--;
    else if (newline && !w->ended)
        return deliver_line(w, "", 0);
    return 0;
}

static void on_info(struct jobwatch *w, const json_t *o)
{
    const char *text;
    size_t len;

    if (json_unpack((json_t *)o, "{s:s%}", "event", &text, &len) < 0) {
        end(w, EPROTO, "a watch response has no event");
        return;
    }
    (void)future_ref(w->f);
    if (deliver_event(w, text, len) < 0)
        end(w, ENOMEM, NULL);
    future_unref(w->f);
}

/* What was delivered is not delivered again. */
static void start_job_info(struct jobwatch *w)
{
    const bool is_archived = w->data.on_end == on_archived_end;

    w->asked = true;
    w->skip = w->seen;
    w->data.on_response = on_info;
    w->data.on_end = is_archived ? on_archived_end : on_log_end;
    stream_open(&w->data,
                flux_rpc_pack(w->h, "job-info.eventlog-watch", FLUX_NODEID_ANY, FLUX_RPC_STREAMING,
                              "{s:I s:s s:i}", "id", (int64_t)w->id, "path", w->path, "flags", 0),
                "job-info.eventlog-watch-cancel");
}

/* --- the future --- */

static void jobwatch_start(flux_future_t *f)
{
    struct jobwatch *w = f->self;

    if (w->main.f)
        future_join(w->main.f, f);
    if (w->data.f)
        future_join(w->data.f, f);
}

static void jobwatch_destroy(flux_future_t *f)
{
    struct jobwatch *w = f->self;

    stream_close(&w->main);
    stream_close(&w->data);
    flux_decref(w->h);
    free(w->partial);
    free(w);
}

static const struct future_class jobwatch_class = {
    .start = jobwatch_start,
    .destroy = jobwatch_destroy,
};

flux_future_t *flux_job_event_watch(flux_t *h, flux_jobid_t id, const char *path, int flags)
{
    struct jobwatch *w;

    if (!h || !path || flags != 0 ||
        (strcmp(path, "eventlog") != 0 && strncmp(path, GUEST, strlen(GUEST)) != 0)) {
        errno = EINVAL;
        return NULL;
    }
    w = calloc(1, sizeof(*w) + strlen(path) + 1);
    if (!w)
        return NULL;
    w->f = future_create(&jobwatch_class, w);
    if (!w->f) {
        free(w);
        return NULL;
    }
    memcpy(w->path, path, strlen(path));
    flux_incref(h);
    w->h = h;
    w->f->h = h;
    w->id = id;
    w->main.w = w->data.w = w;
    if (strcmp(path, "eventlog") == 0) {
        w->main.on_response = on_value;
        w->main.on_end = on_log_end;
        start_log(w);
    } else {
        w->guest_key = w->path + strlen(GUEST);
        start_waiting(w);
    }
    return w->f;
}

static struct jobwatch *jobwatch_of(flux_future_t *f)
{
    while (f && f->class != &jobwatch_class)
        f = f->with;
    if (!f)
        errno = EINVAL;
    return f ? f->self : NULL;
}

int flux_job_event_watch_get(flux_future_t *f, const char **event)
{
    const void *value;

    if (flux_future_get(f, &value) < 0)
        return -1;
    if (event)
        *event = value;
    return 0;
}

int flux_job_event_watch_cancel(flux_future_t *f)
{
    struct jobwatch *w = jobwatch_of(f);

    if (!w)
        return -1;
    end(w, ENODATA, NULL);
    return 0;
}
