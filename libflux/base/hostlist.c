/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Ordered lists of host names.
 *
 * A name is 1 to 255 printable ASCII characters without space, comma and brackets. A list holds at
 * most 2^20 names and 64 MiB of text, whatever a string asks for. hostlist_uniq() keeps the first
 * of equal names where it stands; nothing here sorts. */
#include <flux/hostlist.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/hostlist.h"

#define HOSTS_MAX (1 << 20)
#define TEXT_MAX  (64u << 20)

struct hostlist {
    char **names;
    int count;
    int allocated;
    size_t text_size;
};

DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)

struct hostlist *hostlist_create(void)
{
    return calloc(1, sizeof(struct hostlist));
}

/* Drop the names from number n on. */
static void truncate_to(struct hostlist *hl, int n)
{
    while (hl->count > n) {
        hl->text_size -= strlen(hl->names[--hl->count]);
        free(hl->names[hl->count]);
    }
}

void hostlist_destroy(struct hostlist *hl)
{
    if (hl) {
        int saved_errno = errno;

        truncate_to(hl, 0);
        free(hl->names);
        free(hl);
        errno = saved_errno;
    }
}

static int reserve_one(struct hostlist *hl)
{
    int allocated = hl->allocated ? hl->allocated * 2 : 8;
    char **names;

    if (hl->count < hl->allocated)
        return 0;
    if (!(names = realloc(hl->names, (size_t)allocated * sizeof(*names))))
        return -ENOMEM;
    hl->names = names;
    hl->allocated = allocated;
    return 0;
}

size_t hostlist_room(const struct hostlist *hl)
{
    return (size_t)(HOSTS_MAX - hl->count);
}

int hostlist_add_name(struct hostlist *hl, const char *name)
{
    size_t len = strlen(name);
    char *copy;

    if (hl->count >= HOSTS_MAX || hl->text_size + len > TEXT_MAX)
        return -EINVAL;
    if (reserve_one(hl) < 0 || !(copy = strdup(name)))
        return -ENOMEM;
    hl->names[hl->count++] = copy;
    hl->text_size += len;
    return 0;
}

struct hostlist *hostlist_copy(const struct hostlist *hl)
{
    CLEANUP(hostlist_destroyp) struct hostlist *copy = NULL;

    if (!hl) {
        errno = EINVAL;
        return NULL;
    }
    if (!(copy = hostlist_create()))
        return NULL;
    for (int i = 0; i < hl->count; i++) {
        if (hostlist_add_name(copy, hl->names[i]) < 0) {
            errno = ENOMEM;
            return NULL;
        }
    }
    return TAKE(copy);
}

int hostlist_append(struct hostlist *hl, const char *hosts)
{
    int before;
    int rc;

    if (!hl || !hosts) {
        errno = EINVAL;
        return -1;
    }
    before = hl->count;
    if ((rc = hostlist_parse(hl, hosts)) < 0) {
        truncate_to(hl, before);
        errno = -rc;
        return -1;
    }
    return hl->count - before;
}

struct hostlist *hostlist_decode(const char *s)
{
    CLEANUP(hostlist_destroyp) struct hostlist *hl = hostlist_create();

    if (!hl || hostlist_append(hl, s) < 0)
        return NULL;
    return TAKE(hl);
}

int hostlist_count(const struct hostlist *hl)
{
    return hl ? hl->count : 0;
}

const char *hostlist_nth(const struct hostlist *hl, int n)
{
    if (!hl) {
        errno = EINVAL;
        return NULL;
    }
    if (n < 0 || n >= hl->count) {
        errno = ENOENT;
        return NULL;
    }
    return hl->names[n];
}

int hostlist_find(const struct hostlist *hl, const char *hostname)
{
    if (!hl || !hostname) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < hl->count; i++) {
        if (strcmp(hl->names[i], hostname) == 0)
            return i;
    }
    errno = ENOENT;
    return -1;
}

struct seen {
    const char *name;
    UT_hash_handle hh;
};

/* Without memory for the table the list stays as it is. */
void hostlist_uniq(struct hostlist *hl)
{
    CLEANUP(freep) struct seen *slots = NULL;
    struct seen *table = NULL;
    int kept = 0;

    if (!hl || hl->count < 2 || !(slots = calloc((size_t)hl->count, sizeof(*slots))))
        return;
    for (int i = 0; i < hl->count; i++) {
        char *name = hl->names[i];
        struct seen *found;

        HASH_FIND_STR(table, name, found);
        if (found) {
            hl->text_size -= strlen(name);
            free(name);
            continue;
        }
        slots[kept].name = name;
        HASH_ADD_KEYPTR(hh, table, name, strlen(name), &slots[kept]);
        hl->names[kept++] = name;
    }
    hl->count = kept;
    HASH_CLEAR(hh, table);
}
