/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The syntax of systemd.syntax(7): sections, assignments, comments, continued lines, quoted words,
 * durations. What keys mean is in unit.h. */
#ifndef SUPERVISE_UNITFILE_H
#define SUPERVISE_UNITFILE_H

#include <stddef.h>
#include <stdint.h>
#include <flux/types.h>
#include "base/cleanup.h"

#define UNITFILE_MAX (256u << 10) /* bytes of one file */

struct unitfile_entry {
    char *section;
    char *key;
    char *value; /* trimmed, continued lines joined by a space */
};

struct unitfile {
    size_t count;
    struct unitfile_entry *entries;
};

/* 0, -EINVAL with "line N: ...", -EFBIG, -ENOMEM. */
int unitfile_parse(const char *text, size_t size, struct unitfile **ret, flux_error_t *error);
int unitfile_read(const char *path, struct unitfile **ret, flux_error_t *error);
struct unitfile *unitfile_free(struct unitfile *uf);
DEFINE_CLEANUP(struct unitfile *, unitfile_free)

/* The last value of a key, lent; NULL if absent or emptied. */
const char *unitfile_get(const struct unitfile *uf, const char *section, const char *key);
/* Walks over all values of a list key, leaving out what an empty assignment took back:
 * for (size_t i = unitfile_first(uf, s, k); i < uf->count; i = unitfile_next(uf, s, k, i)) */
size_t unitfile_first(const struct unitfile *uf, const char *section, const char *key);
size_t unitfile_next(const struct unitfile *uf, const char *section, const char *key, size_t i);

/* NULL-terminated list of the words of s, quotes and backslashes undone. 0, -EINVAL, -ENOMEM. */
int unitfile_split(const char *s, char ***ret_words);
char **strv_free(char **v);
DEFINE_CLEANUP(char **, strv_free)
int strv_append(char ***v, const char *word); /* copies */
int strv_take(char ***v, char *word);         /* consumes word, NULL means -ENOMEM */
size_t strv_count(char *const *v);

/* "100ms", "30", "1min 30s", "infinity" (UINT64_MAX). 0 or -EINVAL. */
int unitfile_parse_usec(const char *s, uint64_t *ret_usec);

#endif
