/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Keys: names separated by periods. Normalized: no empty names; "." is the root. */
#ifndef KVS_KEY_H
#define KVS_KEY_H

#include <stdbool.h>
#include <stddef.h>

#define KEY_SIZE_MAX  4096 /* bytes, NUL included */
#define KEY_NAMES_MAX 128

/* malloc'd. -EINVAL: empty, too long or too deep. */
int key_normalize(const char *key, char **ret);
bool key_is_root(const char *key);
/* The next name at *pos of a normalized key other than ".", advancing it. False at the end. */
bool key_next(const char **pos, const char **ret_name, size_t *ret_len);
/* target, then a period and rest unless one of them is empty or the root; normalized. */
int key_join(const char *target, const char *rest, char **ret);

#endif
