/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sets of non-negative integers as bitmaps of 64-bit words.
 *
 * Words are allocated up to the highest id only, and a set of ids below 64 needs none: its word
 * lives in the struct. `slots` bounds the ids of a set that may not grow; it costs no memory.
 * Invariants: words beyond nwords count as zero; count is the number of bits set.
 */
#include <flux/idset.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/idset-run.h"

#define WORD_BITS     64
#define SLOTS_DEFAULT 1024 /* for idset_create(0, flags) */

struct idset {
    uint64_t *words; /* &first, or malloc'd */
    uint64_t first;
    size_t nwords;
    size_t slots;
    size_t count;
    int flags;
};

DEFINE_CLEANUP(struct idset *, idset_destroy)

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

struct idset *idset_create(size_t slots, int flags)
{
    struct idset *set;

    if ((flags & ~IDSET_FLAG_AUTOGROW) != 0 || slots > IDSET_INVALID_ID) {
        errno = EINVAL;
        return NULL;
    }
    if (!(set = calloc(1, sizeof(*set))))
        return NULL;
    set->words = &set->first;
    set->nwords = 1;
    set->slots = slots ? slots : SLOTS_DEFAULT;
    set->flags = flags;
    return set;
}

void idset_destroy(struct idset *set)
{
    if (set) {
        int saved_errno = errno;

        if (set->words != &set->first)
            free(set->words);
        free(set);
        errno = saved_errno;
    }
}

/* May the set hold this id? */
static bool id_fits(const struct idset *set, unsigned int id)
{
    if (id >= IDSET_INVALID_ID)
        return false;
    return id < set->slots || (set->flags & IDSET_FLAG_AUTOGROW);
}

/* Make room for n words; with room to spare when growing a set step by step. */
static int reserve(struct idset *set, size_t n)
{
    uint64_t *words;

    if (n <= set->nwords)
        return 0;
    if (set->nwords > 1 && n < set->nwords + set->nwords / 2)
        n = set->nwords + set->nwords / 2;
    if (set->words == &set->first) {
        if (!(words = calloc(n, sizeof(*words))))
            return fail(ENOMEM);
        words[0] = set->first;
    } else {
        if (!(words = realloc(set->words, n * sizeof(*words))))
            return fail(ENOMEM);
        memset(words + set->nwords, 0, (n - set->nwords) * sizeof(*words));
    }
    set->words = words;
    set->nwords = n;
    return 0;
}

static size_t words_used(const struct idset *set)
{
    size_t n = set->nwords;

    while (n > 0 && set->words[n - 1] == 0)
        n--;
    return n;
}

struct idset *idset_copy(const struct idset *set)
{
    CLEANUP(idset_destroyp) struct idset *copy = NULL;
    size_t n;

    if (!set) {
        errno = EINVAL;
        return NULL;
    }
    n = words_used(set);
    if (!(copy = idset_create(set->slots, set->flags)) || reserve(copy, n) < 0)
        return NULL;
    memcpy(copy->words, set->words, n * sizeof(*copy->words));
    copy->count = set->count;
    return TAKE(copy);
}

static inline uint64_t bit(unsigned int id)
{
    return UINT64_C(1) << (id % WORD_BITS);
}

bool idset_test(const struct idset *set, unsigned int id)
{
    return set && id / WORD_BITS < set->nwords && (set->words[id / WORD_BITS] & bit(id));
}

int idset_set(struct idset *set, unsigned int id)
{
    if (!set || !id_fits(set, id))
        return fail(EINVAL);
    if (reserve(set, id / WORD_BITS + 1) < 0)
        return -1;
    set->count += !(set->words[id / WORD_BITS] & bit(id));
    set->words[id / WORD_BITS] |= bit(id);
    return 0;
}

int idset_clear(struct idset *set, unsigned int id)
{
    if (!set || id >= IDSET_INVALID_ID)
        return fail(EINVAL);
    if (idset_test(set, id)) {
        set->words[id / WORD_BITS] &= ~bit(id);
        set->count--;
    }
    return 0;
}

/* Bits of word number w that lie within lo..hi. */
static uint64_t range_mask(size_t w, unsigned int lo, unsigned int hi)
{
    uint64_t mask = UINT64_MAX;

    if (w == lo / WORD_BITS)
        mask &= UINT64_MAX << (lo % WORD_BITS);
    if (w == hi / WORD_BITS)
        mask &= UINT64_MAX >> (WORD_BITS - 1 - hi % WORD_BITS);
    return mask;
}

static void sort_range(unsigned int *lo, unsigned int *hi)
{
    if (*lo > *hi) {
        unsigned int tmp = *lo;

        *lo = *hi;
        *hi = tmp;
    }
}

int idset_range_set(struct idset *set, unsigned int lo, unsigned int hi)
{
    sort_range(&lo, &hi);
    if (!set || !id_fits(set, hi))
        return fail(EINVAL);
    if (reserve(set, hi / WORD_BITS + 1) < 0)
        return -1;
    for (size_t w = lo / WORD_BITS; w <= hi / WORD_BITS; w++) {
        uint64_t added = range_mask(w, lo, hi) & ~set->words[w];

        set->words[w] |= added;
        set->count += (size_t)__builtin_popcountll(added);
    }
    return 0;
}

int idset_range_clear(struct idset *set, unsigned int lo, unsigned int hi)
{
    sort_range(&lo, &hi);
    if (!set || hi >= IDSET_INVALID_ID)
        return fail(EINVAL);
    for (size_t w = lo / WORD_BITS; w <= hi / WORD_BITS && w < set->nwords; w++) {
        uint64_t removed = range_mask(w, lo, hi) & set->words[w];

        set->words[w] &= ~removed;
        set->count -= (size_t)__builtin_popcountll(removed);
    }
    return 0;
}

/* Lowest id >= from. */
static unsigned int find_from(const struct idset *set, size_t from)
{
    size_t w = from / WORD_BITS;
    uint64_t word;

    if (w >= set->nwords)
        return IDSET_INVALID_ID;
    word = set->words[w] & (UINT64_MAX << (from % WORD_BITS));
    while (!word) {
        if (++w >= set->nwords)
            return IDSET_INVALID_ID;
        word = set->words[w];
    }
    return (unsigned int)(w * WORD_BITS) + (unsigned int)__builtin_ctzll(word);
}

unsigned int idset_run_end(const struct idset *set, unsigned int id)
{
    size_t w = id / WORD_BITS;
    uint64_t gaps = ~set->words[w] & (UINT64_MAX << (id % WORD_BITS));

    while (!gaps && ++w < set->nwords)
        gaps = ~set->words[w];
    return (unsigned int)(w * WORD_BITS) + (gaps ? (unsigned int)__builtin_ctzll(gaps) : 0) - 1;
}

unsigned int idset_first(const struct idset *set)
{
    return set ? find_from(set, 0) : IDSET_INVALID_ID;
}

unsigned int idset_next(const struct idset *set, unsigned int prev)
{
    return set ? find_from(set, (size_t)prev + 1) : IDSET_INVALID_ID;
}

unsigned int idset_last(const struct idset *set)
{
    size_t n = set ? words_used(set) : 0;

    if (n == 0)
        return IDSET_INVALID_ID;
    return (unsigned int)(n * WORD_BITS) - 1 - (unsigned int)__builtin_clzll(set->words[n - 1]);
}

size_t idset_count(const struct idset *set)
{
    return set ? set->count : 0;
}

bool idset_equal(const struct idset *a, const struct idset *b)
{
    size_t n;

    if (!a || !b || a->count != b->count)
        return false;
    n = words_used(a);
    return n == words_used(b) && memcmp(a->words, b->words, n * sizeof(*a->words)) == 0;
}

int idset_add(struct idset *a, const struct idset *b)
{
    size_t n;

    if (!a)
        return fail(EINVAL);
    if (!b || b->count == 0)
        return 0;
    if (!id_fits(a, idset_last(b)))
        return fail(EINVAL);
    n = words_used(b);
    if (reserve(a, n) < 0)
        return -1;
    for (size_t w = 0; w < n; w++) {
        a->count += (size_t)__builtin_popcountll(b->words[w] & ~a->words[w]);
        a->words[w] |= b->words[w];
    }
    return 0;
}

int idset_subtract(struct idset *a, const struct idset *b)
{
    if (!a)
        return fail(EINVAL);
    for (size_t w = 0; b && w < a->nwords && w < b->nwords; w++) {
        uint64_t removed = a->words[w] & b->words[w];

        a->count -= (size_t)__builtin_popcountll(removed);
        a->words[w] &= ~removed;
    }
    return 0;
}

struct idset *idset_union(const struct idset *a, const struct idset *b)
{
    CLEANUP(idset_destroyp) struct idset *set = idset_copy(a);

    if (!set)
        return NULL;
    set->flags |= IDSET_FLAG_AUTOGROW; /* b may hold ids that a could not */
    if (idset_add(set, b) < 0)
        return NULL;
    return TAKE(set);
}

struct idset *idset_difference(const struct idset *a, const struct idset *b)
{
    struct idset *set = idset_copy(a);

    if (set)
        (void)idset_subtract(set, b);
    return set;
}

struct idset *idset_intersect(const struct idset *a, const struct idset *b)
{
    struct idset *set;

    if (!b) {
        errno = EINVAL;
        return NULL;
    }
    if (!(set = idset_copy(a)))
        return NULL;
    for (size_t w = 0; w < set->nwords; w++) {
        uint64_t removed = set->words[w] & ~(w < b->nwords ? b->words[w] : 0);

        set->words[w] &= ~removed;
        set->count -= (size_t)__builtin_popcountll(removed);
    }
    return set;
}

bool idset_has_intersection(const struct idset *a, const struct idset *b)
{
    for (size_t w = 0; a && b && w < a->nwords && w < b->nwords; w++) {
        if (a->words[w] & b->words[w])
            return true;
    }
    return false;
}
