/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the thread that the store belongs to does for one work: a whole read, or a piece of a chore.
 * Knows no threads, but for the journal's lock. */
#include <errno.h>
#include <string.h>
#include "base/errorx.h"
#include "content/checkpoint.h"
#include "content/keeper.h"

#define PIECE       128 /* digests, rows */
#define SMALL_PIECE 8

static int name_refs(struct keeper *k, const char *value)
{
    CLEANUP(json_decrefp) json_t *table = json_pack("{s:s}", "value", value);
    CLEANUP(json_decrefp) json_t *refs = json_array();
    enum digest_algorithm hash;
    uint8_t digest[DIGEST_SIZE];
    const json_t *o;
    size_t i;
    int rc;

    if (!table || !refs || (rc = checkpoint_refs(table, store_hash(k->store), refs)) < 0)
        return -ENOMEM;
    json_array_foreach (refs, i, o) {
        if (blobref_parse(json_string_value(o), &hash, digest) == 0)
            sweep_name(k->sweep, digest);
    }
    return 0;
}

void keeper_read(struct keeper *k, struct work *w)
{
    switch (w->type) {
    case WORK_LOAD:
        w->err = journal_load(k->journal, w->digest, &w->data, &w->size);
        if (w->err == -ENOENT)
            w->err = store_load(k->store, w->digest, &w->data, &w->size);
        break;
    case WORK_ROOTS:
        w->err = store_roots(k->store, &w->json);
        if (w->err == 0)
            w->err = journal_overlay_roots(k->journal, w->json);
        break;
    case WORK_CHECKPOINT_GET:
        w->err = journal_get_checkpoint(k->journal, w->key, &w->value);
        if (w->err == -ENOENT)
            w->err = store_get_checkpoint(k->store, w->key, &w->value);
        break;
    case WORK_INFO:
        w->err = store_space(k->store, &w->space);
        break;
    case WORK_SWEEP_NAME:
        w->err = name_refs(k, w->change.checkpoint_value);
        break;
    default:
        w->err = -EINVAL;
    }
    if (w->err < 0 && w->err != -ENOENT)
        errorx_set(&w->error, "%s", store_strerror(k->store));
}

/* What checkpoints refer to is marked; whoever asked marks what that refers to. */
static int mark_checkpoints(struct keeper *k, uint64_t generation, json_t *refs)
{
    size_t i = 0;

    while (i < json_array_size(refs)) {
        struct sweep_marked marked = { 0 };
        uint8_t digest[DIGEST_SIZE];
        enum digest_algorithm hash;
        int rc = 0;

        if (blobref_parse(json_string_value(json_array_get(refs, i)), &hash, digest) == 0)
            rc = sweep_mark(k->sweep, generation, digest, &marked);
        if (rc < 0)
            return rc;
        if (marked.unknown > 0)
            (void)json_array_remove(refs, i);
        else
            i++;
    }
    return 0;
}

static int begin_sweep(struct keeper *k, struct work *w)
{
    CLEANUP(json_decrefp) json_t *checkpoints = NULL;
    CLEANUP(json_decrefp) json_t *refs = json_array();
    int rc;

    if (!refs)
        return -ENOMEM;
    if ((rc = sweep_begin(k->sweep, w->sweep.loose_seconds, &w->sweep.generation)) < 0 ||
        (rc = store_checkpoints(k->store, &checkpoints)) < 0 ||
        (rc = journal_overlay_checkpoints(k->journal, checkpoints)) < 0 ||
        (rc = checkpoint_refs(checkpoints, store_hash(k->store), refs)) < 0 ||
        (rc = mark_checkpoints(k, w->sweep.generation, refs)) < 0)
        return rc;
    w->json = TAKE(refs);
    return 0;
}

static int mark_some(struct keeper *k, struct sweep_work *sw, uint32_t piece)
{
    for (uint32_t i = 0; i < piece && sw->pos < sw->ndigests; i++, sw->pos++) {
        int rc =
            sweep_mark(k->sweep, sw->generation, sw->digests + sw->pos * DIGEST_SIZE, &sw->marked);

        if (rc < 0)
            return rc;
    }
    return sw->pos < sw->ndigests;
}

static int take_names(struct keeper *k, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *refs = json_array();
    uint8_t digest[DIGEST_SIZE];
    char ref[BLOBREF_STRING_SIZE];

    if (!refs)
        return -ENOMEM;
    while (sweep_take_name(k->sweep, digest)) {
        blobref_format(store_hash(k->store), digest, ref);
        if (json_array_append_new(refs, json_string(ref)) < 0)
            return -ENOMEM;
    }
    *ret = TAKE(refs);
    return 0;
}

static int remove_some(struct keeper *k, struct work *w, uint32_t piece)
{
    struct sweep_work *sw = &w->sweep;
    uint64_t left = sw->limit - sw->step.looked - sw->step.pages;
    int rc = sweep_step(k->sweep, sw->generation, left < piece ? (uint32_t)left : piece, &sw->step);

    if (rc == 0 && sw->step.named)
        return take_names(k, &w->json);
    return rc < 0 ? rc : !sw->step.done && sw->step.looked + sw->step.pages < sw->limit;
}

static int check_some(struct keeper *k, struct check_work *c)
{
    int rc = inspect_step(k->store, k->journal, c->remove, &c->pos, c->found);

    if (rc == 0)
        c->done = true;
    return rc <= 0 ? rc : c->found->looked < c->limit;
}

static int flush_some(struct keeper *k, struct work *w)
{
    int rc;

    if (w->flush_number == 0) {
        journal_rotate(k->journal);
        w->flush_number = journal_newest(k->journal);
    }
    if (journal_oldest(k->journal) > w->flush_number)
        return 0;
    rc = journal_fold(k->journal, k->store);
    return rc < 0 ? rc : journal_oldest(k->journal) <= w->flush_number;
}

int keeper_chore(struct keeper *k, struct work *w, bool small)
{
    uint32_t piece = small ? SMALL_PIECE : PIECE;

    switch (w->type) {
    case WORK_FLUSH:
        return flush_some(k, w);
    case WORK_CHECK:
        return check_some(k, &w->check);
    case WORK_BACKUP_BEGIN:
        return backup_begin(&k->backup, k->store, k->journal, &w->json);
    case WORK_BACKUP_READ:
        return backup_read(&k->backup, k->store, w->backup_id, w->backup_row, &w->data, &w->size);
    case WORK_SWEEP_BEGIN:
        return backup_active(&k->backup) ? -EBUSY : begin_sweep(k, w);
    case WORK_SWEEP_MARK:
        return mark_some(k, &w->sweep, piece);
    case WORK_SWEEP_STEP:
        return remove_some(k, w, piece);
    case WORK_SWEEP_END:
        return sweep_end(k->sweep, w->sweep.generation);
    default:
        return -EINVAL;
    }
}
