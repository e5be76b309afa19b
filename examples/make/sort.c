/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Words by frequency, then by letters. */
#include <stdlib.h>
#include <string.h>

#include "words.h"

static int by_count(const void *pa, const void *pb)
{
    const struct word *a = *(const struct word *const *)pa;
    const struct word *b = *(const struct word *const *)pb;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return strcmp(a->text, b->text);
}

const struct word **sort_words(const struct table *t)
{
    const struct word **words = calloc(t->size + 1, sizeof(*words));
    size_t n = 0;

    for (size_t i = 0; words && i < BUCKETS; i++) {
        for (const struct word *w = t->buckets[i]; w; w = w->next)
            words[n++] = w;
    }
    if (words)
        qsort(words, n, sizeof(*words), by_count);
    return words;
}
