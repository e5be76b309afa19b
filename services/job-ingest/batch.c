/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What one commit and one message to the job manager carry for many jobs. The commit is all or
 * nothing, so a job is in the KVS whole or not at all. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fluid.h"
#include "batch.h"

void batch_init(struct batch *b)
{
    *b = (struct batch){ 0 };
    STAILQ_INIT(&b->list);
}

static size_t submission_size(const struct submission *s)
{
    return strlen(s->J) + strlen(s->jobspec) + 256;
}

void batch_add(struct batch *b, struct submission *s)
{
    STAILQ_INSERT_TAIL(&b->list, s, link);
    b->n++;
    b->bytes += submission_size(s);
}

struct submission *batch_pop(struct batch *b)
{
    struct submission *s = STAILQ_FIRST(&b->list);

    if (s) {
        STAILQ_REMOVE_HEAD(&b->list, link);
        b->n--;
        b->bytes -= submission_size(s);
    }
    return s;
}

void batch_take(struct batch *from, struct batch *to)
{
    while (from->n > 0 && to->n < BATCH_JOBS_MAX && to->bytes < BATCH_BYTES_MAX)
        batch_add(to, batch_pop(from));
}

static int put(flux_kvs_txn_t *txn, const char *prefix, const char *id, const char *suffix,
               const char *value)
{
    char key[96];

    (void)snprintf(key, sizeof(key), "%s.%s%s", prefix, id, suffix);
    return flux_kvs_txn_put(txn, 0, key, value);
}

static int put_submission(flux_kvs_txn_t *txn, const struct submission *s)
{
    CLEANUP(freep) char *eventlog = submission_eventlog(s);
    char id[32], decimal[32];

    if (!eventlog) {
        errno = ENOMEM;
        return -1;
    }
    if (fluid_encode(id, sizeof(id), s->id, FLUID_DOTHEX) < 0 ||
        fluid_encode(decimal, sizeof(decimal), s->id, FLUID_DEC) < 0) {
        errno = EINVAL;
        return -1;
    }
    if (put(txn, "job", id, ".J", s->J) < 0 || put(txn, "job", id, ".jobspec", s->jobspec) < 0 ||
        put(txn, "job", id, ".eventlog", eventlog) < 0 ||
        put(txn, "job-active", decimal, "", "") < 0)
        return -1;
    return 0;
}

flux_kvs_txn_t *batch_txn(const struct batch *b)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    const struct submission *s;
    flux_jobid_t last = 0;
    char buf[32];

    if (!txn)
        return NULL;
    STAILQ_FOREACH(s, &b->list, link)
    {
        if (put_submission(txn, s) < 0) {
            int saved_errno = errno;

            flux_kvs_txn_destroy(txn);
            errno = saved_errno;
            return NULL;
        }
        last = s->id;
    }
    (void)snprintf(buf, sizeof(buf), "%" PRIu64, last);
    if (flux_kvs_txn_put(txn, 0, "job-state.max_jobid", buf) < 0) {
        flux_kvs_txn_destroy(txn);
        errno = ENOMEM;
        return NULL;
    }
    return txn;
}

char *batch_announcement(const struct batch *b)
{
    const struct submission *s;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    bool first = true;
    int failed;

    if (!f)
        return NULL;
    (void)fputs("{\"jobs\":[", f);
    STAILQ_FOREACH(s, &b->list, link)
    {
        (void)fprintf(f,
                      "%s{\"id\":%" PRIu64 ",\"userid\":%u,\"urgency\":%d,\"flags\":%d,"
                      "\"t_submit\":%.6f,\"jobspec\":",
                      first ? "" : ",", s->id, s->userid, s->urgency, s->flags, s->t_submit);
        (void)fputs(s->reduced, f);
        (void)fputc('}', f);
        first = false;
    }
    (void)fputs("]}", f);
    failed = ferror(f);
    if (fclose(f) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
