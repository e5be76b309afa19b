/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The job directory is a tree of four levels, one for each group of an id in dotted hex. It is
 * walked depth first; what is left to do is a stack of small items (a directory to list, or a job
 * to read), of which at most IN_FLIGHT are being looked up at a time, so that the KVS and we have
 * breath for others. A job is read in three steps: jobspec, eventlog (which
 * may update what the jobspec said), R. What is not there, or not
 * readable, leaves its fields unknown; a job without an eventlog is left out. */
#include <string.h>

#include "base/eventlog.h"
#include "base/fluid.h"
#include "base/jsonx.h"
#include "job-list/rebuild.h"

#define IN_FLIGHT 32
#define KEY_MAX   64

enum what { DIRECTORY, JOBSPEC, EVENTLOG, R };

struct item {
    enum what what;
    uint8_t level; /* DIRECTORY: number of groups in id that are set */
    uint64_t id;   /* groups from the top */
};

struct rebuild {
    flux_t *h;
    struct rebuild_ops ops;
    void *arg;
    struct item *stack;
    size_t count, capacity;
    size_t nlookups;
    size_t nfound;
    bool walking;
    int rc;
    struct lookup *lookups;
};

struct lookup {
    struct rebuild *rb;
    struct item item;
    struct job *job; /* NULL for DIRECTORY */
    flux_future_t *f;
    struct lookup *prev, *next;
};

static void start(struct rebuild *rb);

int rebuild_new(flux_t *h, const struct rebuild_ops *ops, void *arg, struct rebuild **ret)
{
    struct rebuild *rb = calloc(1, sizeof(*rb));

    if (!rb)
        return -ENOMEM;
    rb->h = h;
    rb->ops = *ops;
    rb->arg = arg;
    *ret = rb;
    return 0;
}

static void lookup_free(struct lookup *lk)
{
    struct rebuild *rb = lk->rb;

    if (lk->prev)
        lk->prev->next = lk->next;
    else
        rb->lookups = lk->next;
    if (lk->next)
        lk->next->prev = lk->prev;
    rb->nlookups--;
    flux_future_destroy(lk->f);
    job_free(lk->job);
    free(lk);
}

struct rebuild *rebuild_free(struct rebuild *rb)
{
    if (!rb)
        return NULL;
    while (rb->lookups)
        lookup_free(rb->lookups);
    free(rb->stack);
    free(rb);
    return NULL;
}

bool rebuild_active(const struct rebuild *rb)
{
    return rb->count > 0 || rb->nlookups > 0;
}

/* --- the stack */

static int push(struct rebuild *rb, struct item item)
{
    size_t capacity = rb->capacity ? rb->capacity * 2 : 64;

    if (rb->count == rb->capacity) {
        struct item *stack = reallocarray(rb->stack, capacity, sizeof(stack[0]));

        if (!stack)
            return -ENOMEM;
        rb->stack = stack;
        rb->capacity = capacity;
    }
    rb->stack[rb->count++] = item;
    return 0;
}

int rebuild_job(struct rebuild *rb, flux_jobid_t id)
{
    int rc = push(rb, (struct item){ .what = JOBSPEC, .id = id });

    start(rb);
    return rc;
}

int rebuild_walk(struct rebuild *rb)
{
    int rc;

    if (rb->walking)
        return -EBUSY;
    rc = push(rb, (struct item){ .what = DIRECTORY });
    rb->walking = rc == 0;
    start(rb);
    return rc;
}

static void format_key(const struct item *item, char key[KEY_MAX])
{
    static const char *const names[] = {
        [EVENTLOG] = "eventlog", [JOBSPEC] = "jobspec", [R] = "R"
    };
    int len = snprintf(key, KEY_MAX, "job");

    if (item->what != DIRECTORY) {
        (void)flux_job_kvs_key(key, KEY_MAX, item->id, names[item->what]);
        return;
    }
    for (unsigned int i = 0; i < item->level; i++)
        len += snprintf(key + len, KEY_MAX - (size_t)len, ".%04x",
                        (unsigned int)(item->id >> (48 - 16 * i)) & 0xffff);
}

/* --- directories */

/* Four hex digits, as in "00a3". */
static bool parse_group(const char *name, uint64_t *ret)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t n = 0;

    for (size_t i = 0; i < 4; i++) {
        const char *digit = name[i] ? strchr(digits, name[i]) : NULL;

        if (!digit)
            return false;
        n = n * 16 + (uint64_t)(digit - digits);
    }
    *ret = n;
    return name[4] == '\0';
}

static int push_entry(struct rebuild *rb, const struct item *dir, const char *name)
{
    struct item item = { .what = DIRECTORY, .level = (uint8_t)(dir->level + 1) };
    uint64_t group;

    if (!parse_group(name, &group))
        return 0;
    item.id = dir->id | group << (48 - 16 * dir->level);
    if (item.level == 4) {
        item.what = JOBSPEC;
        if (rb->ops.known(item.id, rb->arg))
            return 0;
    }
    return push(rb, item);
}

static int read_directory(struct rebuild *rb, const struct lookup *lk)
{
    const flux_kvsdir_t *dir;
    flux_kvsitr_t *itr;
    const char *name;
    int rc = 0;

    if (flux_kvs_lookup_get_dir(lk->f, &dir) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    if (!(itr = flux_kvsitr_create(dir)))
        return -ENOMEM;
    while (rc == 0 && (name = flux_kvsitr_next(itr)))
        rc = push_entry(rb, &lk->item, name);
    flux_kvsitr_destroy(itr);
    return rc;
}

/* --- jobs: 1 go on with the next step, 0 the job is left out, -errno */

static int read_eventlog(struct lookup *lk, const char *text)
{
    CLEANUP(json_decrefp) json_t *entries = eventlog_decode(text, strlen(text), NULL);
    json_t *entry;
    size_t i;

    if (!entries || json_array_size(entries) == 0)
        return 0;
    json_array_foreach (entries, i, entry)
        if (job_apply_event(lk->job, entry) < 0)
            return 0;
    return 1;
}

static int read_text(struct lookup *lk, const char *text)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    int rc;

    if (lk->item.what == EVENTLOG)
        return read_eventlog(lk, text);
    o = jsonx_decode_object(text, strlen(text), NULL);
    if (!o)
        return 1;
    rc = lk->item.what == JOBSPEC ? job_apply_jobspec(lk->job, o) : job_apply_R(lk->job, o);
    return rc < 0 ? rc : 1;
}

static int read_value(struct lookup *lk)
{
    const char *text = NULL;

    if (flux_kvs_lookup_get(lk->f, &text) < 0) {
        if (errno != ENOENT)
            return -errno;
        return lk->item.what == EVENTLOG ? 0 : 1;
    }
    return read_text(lk, text ? text : "");
}

/* --- the pump */

static void on_lookup(flux_future_t *f, void *arg);

static int send_lookup(struct lookup *lk)
{
    char key[KEY_MAX];

    format_key(&lk->item, key);
    flux_future_destroy(lk->f);
    lk->f = flux_kvs_lookup(lk->rb->h, KVS_PRIMARY_NAMESPACE,
                            lk->item.what == DIRECTORY ? FLUX_KVS_READDIR : 0, key);
    return lk->f && flux_future_then(lk->f, -1., on_lookup, lk) == 0 ? 0 : -errno;
}

/* 1: another lookup is under way. */
static int advance(struct lookup *lk)
{
    int rc;

    if (lk->item.what == DIRECTORY)
        return read_directory(lk->rb, lk);
    rc = read_value(lk);
    if (rc <= 0)
        return rc;
    if (lk->item.what == R) {
        lk->rb->nfound++;
        lk->rb->ops.found(TAKE(lk->job), lk->rb->arg);
        return 0;
    }
    lk->item.what++;
    rc = send_lookup(lk);
    return rc < 0 ? rc : 1;
}

static void on_lookup(flux_future_t *f, void *arg)
{
    struct lookup *lk = arg;
    struct rebuild *rb = lk->rb;
    int rc = advance(lk);

    if (rc > 0)
        return;
    if (rc < 0) {
        rb->rc = rc;
        rb->count = 0;
    }
    lookup_free(lk);
    start(rb);
}

static int begin(struct rebuild *rb, struct item item)
{
    struct lookup *lk = calloc(1, sizeof(*lk));
    int rc;

    if (!lk)
        return -ENOMEM;
    if (item.what != DIRECTORY && job_new(item.id, &lk->job) < 0) {
        free(lk);
        return -ENOMEM;
    }
    lk->rb = rb;
    lk->item = item;
    lk->next = rb->lookups;
    if (lk->next)
        lk->next->prev = lk;
    rb->lookups = lk;
    rb->nlookups++;
    rc = send_lookup(lk);
    if (rc < 0)
        lookup_free(lk);
    return rc;
}

static void start(struct rebuild *rb)
{
    size_t nfound = rb->nfound;
    int rc = rb->rc;

    while (rb->count > 0 && rb->nlookups < IN_FLIGHT && rb->rc == 0) {
        rb->rc = begin(rb, rb->stack[--rb->count]);
        rc = rb->rc;
    }
    if (rc < 0)
        rb->count = 0;
    if (rebuild_active(rb))
        return;
    rb->walking = false;
    rb->nfound = 0;
    rb->rc = 0;
    rb->ops.done(nfound, rc, rb->arg);
}
