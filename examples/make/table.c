/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A hash table of words. */
#include <stdlib.h>
#include <string.h>

#include "words.h"

static unsigned int hash(const char *s)
{
    unsigned int h = 2166136261u;

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h % BUCKETS;
}

bool table_add(struct table *t, const char *text)
{
    struct word **bucket = &t->buckets[hash(text)];
    struct word *w;
    size_t len = strlen(text) + 1;

    for (w = *bucket; w; w = w->next) {
        if (strcmp(w->text, text) == 0) {
            w->count++;
            return true;
        }
    }
    if (!(w = malloc(sizeof(*w) + len)))
        return false;
    w->next = *bucket;
    w->count = 1;
    memcpy(w->text, text, len);
    *bucket = w;
    t->size++;
    return true;
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct word *w = t->buckets[i], *next; w; w = next) {
            next = w->next;
            free(w);
        }
    }
}
