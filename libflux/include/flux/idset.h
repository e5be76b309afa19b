/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sets of non-negative integers and their strings (RFC 22): see idset_create(3), idset_encode(3),
 * idset_add(3). */
#ifndef FLUX_IDSET_H
#define FLUX_IDSET_H

#include <flux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IDSET_FLAG_AUTOGROW 1
#define IDSET_FLAG_BRACKETS 2
#define IDSET_FLAG_RANGE    4
#define IDSET_INVALID_ID    (UINT32_MAX - 1)

struct idset;

struct idset *idset_create(size_t slots, int flags);
void idset_destroy(struct idset *idset);
struct idset *idset_copy(const struct idset *idset);
char *idset_encode(const struct idset *idset, int flags);
/* Refuses (EINVAL) ids over 2^26 and strings over 1 MiB: a string of ten bytes must not allocate a
 * gigabyte. */
struct idset *idset_decode(const char *s);
struct idset *idset_ndecode(const char *s, size_t len);
int idset_set(struct idset *idset, unsigned int id);
int idset_range_set(struct idset *idset, unsigned int lo, unsigned int hi);
int idset_clear(struct idset *idset, unsigned int id);
int idset_range_clear(struct idset *idset, unsigned int lo, unsigned int hi);
bool idset_test(const struct idset *idset, unsigned int id);
unsigned int idset_first(const struct idset *idset);
unsigned int idset_next(const struct idset *idset, unsigned int prev);
unsigned int idset_last(const struct idset *idset);
size_t idset_count(const struct idset *idset);
bool idset_equal(const struct idset *set1, const struct idset *set2);
struct idset *idset_union(const struct idset *a, const struct idset *b);
struct idset *idset_difference(const struct idset *a, const struct idset *b);
struct idset *idset_intersect(const struct idset *a, const struct idset *b);
int idset_add(struct idset *a, const struct idset *b);
int idset_subtract(struct idset *a, const struct idset *b);
bool idset_has_intersection(const struct idset *a, const struct idset *b);
#define idset_clear_all(x) idset_subtract(x, x)

#ifdef __cplusplus
}
#endif

#endif
