/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rows of the store have numbers that grow. A sweep looks at those that were there when it began,
 * in order, and removes the ones whose bit is not set. Bits are kept in pieces made when the first
 * of their bits is set: an eighth of a byte for a blob that stays.
 *
 * What is stored again is in the journal first. Either its row is gone when it is moved into the
 * store, then it gets a new one; or it is there, then the store tells us and its bit is set. So no
 * look at the journal is needed before a row is removed.
 *
 * Invariant: the number of the last row is not given again while rows below the limit are still to
 * be looked at, because that row is then still there.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "content/sweep.h"

#define PIECE_BITS  65536
#define PIECE_BYTES (PIECE_BITS / 8)

struct sweep {
    struct store *store;
    struct journal *journal;
    bool active;
    uint64_t generation;
    int64_t loose_seconds;
    uint64_t limit; /* the last row that was there */
    uint64_t pos;   /* the last row that was looked at */
    uint8_t **pieces;
    size_t npieces;
    uint8_t (*names)[DIGEST_SIZE];
    size_t nnames;
    bool lacking;  /* a bit could not be kept */
    bool trimming; /* all that was to be removed is, */
    bool trimmed;  /* and some room was given back */
};

static int keep_row(struct sweep *sw, uint64_t row)
{
    size_t piece = row / PIECE_BITS;
    uint64_t bit = row % PIECE_BITS;

    if (row > sw->limit)
        return 0;
    if (!sw->pieces[piece] && !(sw->pieces[piece] = calloc(1, PIECE_BYTES)))
        return -ENOMEM;
    sw->pieces[piece][bit / 8] |= (uint8_t)(1u << bit % 8);
    return 0;
}

static bool is_kept(const struct sweep *sw, uint64_t row)
{
    const uint8_t *piece = sw->pieces[row / PIECE_BITS];
    uint64_t bit = row % PIECE_BITS;

    return piece && piece[bit / 8] & 1u << bit % 8;
}

static void on_repeat(uint64_t row, void *arg)
{
    struct sweep *sw = arg;

    if (sw->active && keep_row(sw, row) < 0)
        sw->lacking = true;
}

int sweep_new(struct store *st, struct journal *j, struct sweep **ret)
{
    struct sweep *sw = calloc(1, sizeof(*sw));

    if (!sw)
        return -ENOMEM;
    sw->store = st;
    sw->journal = j;
    store_on_repeat(st, on_repeat, sw);
    *ret = sw;
    return 0;
}

static void forget(struct sweep *sw)
{
    for (size_t i = 0; i < sw->npieces; i++)
        free(sw->pieces[i]);
    free(sw->pieces);
    sw->pieces = NULL;
    sw->npieces = 0;
    free(sw->names);
    sw->names = NULL;
    sw->nnames = 0;
    sw->active = false;
    sw->lacking = false;
    sw->trimming = sw->trimmed = false;
}

struct sweep *sweep_free(struct sweep *sw)
{
    if (sw) {
        store_on_repeat(sw->store, NULL, NULL);
        forget(sw);
        free(sw);
    }
    return NULL;
}

/* Another one in each process too, and one that JSON can carry. */
static uint64_t next_generation(uint64_t last)
{
    struct timespec now;
    uint64_t usec;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    return usec > last ? usec : last + 1;
}

int sweep_begin(struct sweep *sw, int64_t loose_seconds, uint64_t *ret_generation)
{
    uint64_t limit;
    int rc = store_last_row(sw->store, &limit);

    if (rc < 0)
        return rc;
    forget(sw);
    if (!(sw->pieces = calloc(limit / PIECE_BITS + 1, sizeof(sw->pieces[0]))))
        return -ENOMEM;
    sw->npieces = limit / PIECE_BITS + 1;
    sw->loose_seconds = loose_seconds;
    sw->limit = limit;
    sw->pos = 0;
    sw->active = true;
    *ret_generation = sw->generation = next_generation(sw->generation);
    return 0;
}

static bool is_current(const struct sweep *sw, uint64_t generation)
{
    return sw->active && sw->generation == generation;
}

int sweep_mark(struct sweep *sw, uint64_t generation, const uint8_t digest[DIGEST_SIZE],
               struct sweep_marked *marked)
{
    uint64_t row;
    int rc;

    if (!is_current(sw, generation))
        return -ESTALE;
    if ((rc = store_find_row(sw->store, digest, &row)) == 0)
        return keep_row(sw, row);
    if (rc != -ENOENT)
        return rc;
    if (!journal_has(sw->journal, digest) && marked->unknown++ == 0)
        memcpy(marked->first, digest, DIGEST_SIZE);
    return 0;
}

void sweep_name(struct sweep *sw, const uint8_t digest[DIGEST_SIZE])
{
    if (!sw->active || sw->trimming)
        return;
    if (!sw->names)
        sw->names = malloc(SWEEP_NAMES_MAX * sizeof(sw->names[0]));
    if (sw->names && sw->nnames < SWEEP_NAMES_MAX)
        memcpy(sw->names[sw->nnames++], digest, DIGEST_SIZE);
    else
        forget(sw);
}

bool sweep_take_name(struct sweep *sw, uint8_t ret[DIGEST_SIZE])
{
    if (sw->nnames == 0)
        return false;
    memcpy(ret, sw->names[--sw->nnames], DIGEST_SIZE);
    return true;
}

/* Did it come by itself, not long ago? What is to come is now: the clock may have been wrong. */
static int is_young(struct sweep *sw, uint64_t row, int64_t now)
{
    int64_t stored;
    int rc = store_get_loose(sw->store, row, &stored);

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    if ((stored < now ? now - stored : 0) < sw->loose_seconds)
        return 1;
    return store_forget_loose(sw->store, row);
}

static int64_t now_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

static int remove_some(struct sweep *sw, uint32_t limit, uint64_t *pos, struct sweep_step *step)
{
    int64_t now = now_seconds();
    struct store_row row;
    int rc = 0;

    while (step->looked < limit && step->bytes < SWEEP_STEP_BYTES) {
        if ((rc = store_next_row(sw->store, *pos, &row)) == -ENOENT ||
            (rc == 0 && row.number > sw->limit)) {
            step->done = true;
            return 0;
        }
        if (rc < 0)
            return rc;
        *pos = row.number;
        step->looked++;
        if ((rc = is_young(sw, row.number, now)) < 0)
            return rc;
        if (rc == 1 || is_kept(sw, row.number)) {
            rc = 0;
            continue;
        }
        if ((rc = store_remove_row(sw->store, row.number)) < 0)
            return rc;
        step->removed++;
        step->bytes += row.size;
    }
    return rc;
}

static int remove_step(struct sweep *sw, uint32_t limit, struct sweep_step *step)
{
    struct sweep_step now = { 0 };
    uint64_t pos = sw->pos;
    int rc;

    if (sw->lacking)
        return -ENOMEM;
    if ((rc = store_begin_lazily(sw->store)) < 0)
        return rc;
    if ((rc = remove_some(sw, limit, &pos, &now)) < 0 || (rc = store_commit(sw->store)) < 0) {
        store_rollback(sw->store);
        return rc;
    }
    sw->pos = pos;
    step->looked += now.looked;
    step->removed += now.removed;
    step->bytes += now.bytes;
    sw->trimming = now.done;
    return 0;
}

/* Moving pages needs room itself: a disk that is full is no reason to fail, what was to be removed
 * is. */
static int trim_step(struct sweep *sw, uint32_t limit, struct sweep_step *step)
{
    uint64_t bytes = 0;
    int rc = store_trim(sw->store, limit, &bytes);

    step->pages += limit;
    step->returned += bytes;
    sw->trimmed |= bytes > 0;
    if (rc == 1)
        return 0;
    if (rc == 0 && sw->trimmed)
        rc = store_settle(sw->store);
    if (rc < 0 && rc != -ENOSPC)
        return rc;
    step->done = true;
    forget(sw);
    return 0;
}

int sweep_step(struct sweep *sw, uint64_t generation, uint32_t limit, struct sweep_step *step)
{
    if (!is_current(sw, generation))
        return -ESTALE;
    step->named = sw->nnames > 0;
    if (step->named)
        return 0;
    return sw->trimming ? trim_step(sw, limit, step) : remove_step(sw, limit, step);
}

int sweep_end(struct sweep *sw, uint64_t generation)
{
    if (!is_current(sw, generation))
        return -ESTALE;
    forget(sw);
    return 0;
}
