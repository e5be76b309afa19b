/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Counting the words of files: letters of ASCII, in lower case. */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct word {
    struct word *next; /* in its bucket */
    size_t count;
    char text[];
};

#define BUCKETS 1024

struct table {
    struct word *buckets[BUCKETS];
    size_t size;
};

/* table.c */
bool table_add(struct table *t, const char *text);
void table_free(struct table *t);

/* read.c: the next word, at most size - 1 letters of it. */
bool read_word(FILE *f, char *buf, size_t size);

/* count.c */
bool count_file(struct table *t, const char *path);

/* sort.c: all words, the most frequent first; malloc'd. */
const struct word **sort_words(const struct table *t);

#endif
