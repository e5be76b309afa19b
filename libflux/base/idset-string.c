/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Idset strings (RFC 22).
 *
 * Decoding accepts ids in any order and repeated, as the manual page does; it refuses leading
 * zeroes, ranges that run backwards, spaces, unbalanced brackets, ids over 2^26 and strings over
 * 1 MiB, so that a short string from a peer cannot allocate much.
 */
#include <flux/idset.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/idset-run.h"

#define ID_MAX     (1u << 26)
#define STRING_MAX (1u << 20)

DEFINE_CLEANUP(struct idset *, idset_destroy)

static int parse_id(const char **s, const char *end, unsigned int *ret)
{
    const char *p = *s;
    unsigned int id = 0;

    while (p < end && isdigit((unsigned char)*p)) {
        id = id * 10 + (unsigned int)(*p++ - '0');
        if (id > ID_MAX)
            return -EINVAL;
    }
    if (p == *s || (**s == '0' && p - *s > 1))
        return -EINVAL;
    *s = p;
    *ret = id;
    return 0;
}

/* "1" or "1-4"; advances *s past it. */
static int parse_range(const char **s, const char *end, struct idset *set)
{
    unsigned int lo, hi;

    if (parse_id(s, end, &lo) < 0)
        return -EINVAL;
    hi = lo;
    if (*s < end && **s == '-') {
        (*s)++;
        if (parse_id(s, end, &hi) < 0 || hi < lo)
            return -EINVAL;
    }
    return idset_range_set(set, lo, hi) < 0 ? -errno : 0;
}

static int parse_list(const char *s, const char *end, struct idset *set)
{
    int rc;

    if (s == end)
        return 0;
    while ((rc = parse_range(&s, end, set)) == 0) {
        if (s == end)
            return 0;
        if (*s++ != ',')
            return -EINVAL;
    }
    return rc;
}

struct idset *idset_ndecode(const char *s, size_t len)
{
    CLEANUP(idset_destroyp) struct idset *set = NULL;
    const char *end;
    int rc;

    if (!s || len > STRING_MAX) {
        errno = EINVAL;
        return NULL;
    }
    end = s + len;
    if (len > 0 && s[0] == '[') {
        if (len < 2 || end[-1] != ']') {
            errno = EINVAL;
            return NULL;
        }
        s++;
        end--;
    }
    if (!(set = idset_create(0, IDSET_FLAG_AUTOGROW)))
        return NULL;
    if ((rc = parse_list(s, end, set)) < 0) {
        errno = -rc;
        return NULL;
    }
    return TAKE(set);
}

struct idset *idset_decode(const char *s)
{
    return idset_ndecode(s, s ? strnlen(s, STRING_MAX + 1) : 0);
}

static void put_ranges(FILE *f, const struct idset *set, bool ranges)
{
    const char *sep = "";
    unsigned int id = idset_first(set);

    while (id != IDSET_INVALID_ID) {
        unsigned int hi = ranges ? idset_run_end(set, id) : id;

        fprintf(f, hi > id ? "%s%u-%u" : "%s%u", sep, id, hi);
        sep = ",";
        id = idset_next(set, hi);
    }
}

char *idset_encode(const struct idset *set, int flags)
{
    bool brackets = (flags & IDSET_FLAG_BRACKETS) && idset_count(set) > 1;
    char *s = NULL;
    size_t size;
    FILE *f;

    if (!set || (flags & ~(IDSET_FLAG_BRACKETS | IDSET_FLAG_RANGE)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    if (!(f = open_memstream(&s, &size)))
        return NULL;
    fputs(brackets ? "[" : "", f);
    put_ranges(f, set, flags & IDSET_FLAG_RANGE);
    fputs(brackets ? "]" : "", f);
    if (fclose(f) != 0) {
        free(s);
        errno = ENOMEM;
        return NULL;
    }
    return s;
}
