/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The names are read first. All blobs that they lead to were stored before, so they are in the
 * journal's files of that moment or in a row already; once those files are moved, the rows up to
 * the last one are the backup. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include "content/backup.h"

static int64_t now_nsec(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void renew(struct backup *b)
{
    b->until_nsec = now_nsec(CLOCK_MONOTONIC) + (int64_t)BACKUP_LEASE_SECONDS * 1000000000;
}

bool backup_active(const struct backup *b)
{
    return b->id && now_nsec(CLOCK_MONOTONIC) < b->until_nsec;
}

static int read_names(struct store *st, struct journal *j, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *roots = NULL;
    CLEANUP(json_decrefp) json_t *checkpoints = NULL;
    int rc;

    if ((rc = store_roots(st, &roots)) < 0 || (rc = journal_overlay_roots(j, roots)) < 0 ||
        (rc = store_checkpoints(st, &checkpoints)) < 0 ||
        (rc = journal_overlay_checkpoints(j, checkpoints)) < 0)
        return rc;
    *ret = json_pack("{s:O s:O}", "roots", roots, "checkpoints", checkpoints);
    return *ret ? 0 : -ENOMEM;
}

int backup_begin(struct backup *b, struct store *st, struct journal *j, json_t **names)
{
    int rc;

    if (!*names) {
        if ((rc = read_names(st, j, names)) < 0)
            return rc;
        journal_rotate(j);
        b->journal_number = journal_newest(j);
        b->id = (uint64_t)now_nsec(CLOCK_REALTIME) / 1000;
        renew(b);
    }
    if (journal_oldest(j) <= b->journal_number) {
        renew(b);
        rc = journal_fold(j, st);
        return rc < 0 ? rc : 1;
    }
    if ((rc = store_last_row(st, &b->limit)) < 0)
        return rc;
    return json_object_set_new(*names, "id", json_integer((json_int_t)b->id)) < 0 ||
                   json_object_set_new(*names, "rows", json_integer((json_int_t)b->limit)) < 0
               ? -ENOMEM
               : 0;
}

struct batch {
    json_t *sizes;
    json_t *ages; /* of the same blobs: as of store_get_loose(), 0: not so */
    bool any_age;
    char *data;
    size_t size, cap;
    uint64_t row;
    uint64_t damaged;
    bool done;
};

/* What cannot be read is now: what is kept too long can still be removed. */
static int batch_add_age(struct batch *ba, struct store *st, uint64_t row)
{
    int64_t stored = 0;
    int rc = store_get_loose(st, row, &stored);

    if (rc < 0 && rc != -ENOENT)
        stored = now_nsec(CLOCK_REALTIME) / 1000000000;
    ba->any_age |= stored > 0;
    return json_array_append_new(ba->ages, json_integer((json_int_t)stored)) < 0 ? -ENOMEM : 0;
}

static int batch_add(struct batch *ba, const void *data, size_t size)
{
    if (ba->size + size > ba->cap) {
        size_t cap = ba->size + size > 2 * ba->cap ? ba->size + size : 2 * ba->cap;
        char *more = realloc(ba->data, cap + 1);

        if (!more)
            return -ENOMEM;
        ba->data = more;
        ba->cap = cap;
    }
    if (size > 0)
        memcpy(ba->data + ba->size, data, size);
    ba->size += size;
    return json_array_append_new(ba->sizes, json_integer((json_int_t)size)) < 0 ? -ENOMEM : 0;
}

static int batch_fill(struct batch *ba, const struct backup *b, struct store *st)
{
    while (ba->size < BACKUP_READ_BYTES && json_array_size(ba->sizes) < 4096) {
        CLEANUP(freep) void *data = NULL;
        struct store_row row;
        size_t size;
        int rc = store_next_row(st, ba->row, &row);

        if (rc == -ENOENT || (rc == 0 && row.number > b->limit)) {
            ba->done = true;
            return 0;
        }
        if (rc < 0)
            return rc;
        ba->row = row.number;
        rc = store_load(st, row.digest, &data, &size);
        if (rc == -EBADMSG || rc == -ENOENT)
            ba->damaged++;
        else if (rc < 0 || (rc = batch_add(ba, data, size)) < 0 ||
                 (rc = batch_add_age(ba, st, row.number)) < 0)
            return rc;
    }
    return 0;
}

static int batch_encode(const struct batch *ba, void **ret_data, size_t *ret_size)
{
    CLEANUP(json_decrefp)
    json_t *header = json_pack("{s:O s:o s:I}", "blobs", ba->sizes, "next",
                               ba->done ? json_null() : json_integer((json_int_t)ba->row),
                               "damaged", (json_int_t)ba->damaged);
    bool ok = header && (!ba->any_age || json_object_set(header, "ages", ba->ages) == 0);
    CLEANUP(freep) char *text = ok ? json_dumps(header, JSON_COMPACT) : NULL;
    size_t n = text ? strlen(text) : 0;
    uint32_t n_be = htonl((uint32_t)n);
    char *p;

    if (!text || !(p = malloc(sizeof(n_be) + n + ba->size)))
        return -ENOMEM;
    *ret_data = p;
    *ret_size = sizeof(n_be) + n + ba->size;
    memcpy(p, &n_be, sizeof(n_be));
    memcpy(p + sizeof(n_be), text, n);
    if (ba->size > 0)
        memcpy(p + sizeof(n_be) + n, ba->data, ba->size);
    return 0;
}

int backup_read(struct backup *b, struct store *st, uint64_t id, uint64_t row, void **ret_data,
                size_t *ret_size)
{
    struct batch ba = { .row = row };
    int rc;

    if (b->id != id || !backup_active(b))
        return -ESTALE;
    renew(b);
    ba.sizes = json_array();
    ba.ages = json_array();
    if (!ba.sizes || !ba.ages)
        rc = -ENOMEM;
    else if ((rc = batch_fill(&ba, b, st)) == 0)
        rc = batch_encode(&ba, ret_data, ret_size);
    if (ba.done)
        b->id = 0;
    json_decref(ba.ages);
    json_decref(ba.sizes);
    free(ba.data);
    return rc;
}
