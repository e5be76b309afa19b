/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files that the output of submit goes to. Names may contain {cc}, so there may be many: a file is
 * closed when the last of its jobs is done with it. */
#include "joblog.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct joblog {
    UT_hash_handle hh;
    FILE *file; /* NULL: not open now */
    int refs;
    char path[];
};

static struct joblog *logs;

struct joblog *joblog_get(const char *path)
{
    size_t len = strlen(path);
    struct joblog *l = NULL;
    bool known;

    HASH_FIND(hh, logs, path, len, l);
    known = l != NULL;
    if (!known && !(l = calloc(1, sizeof(*l) + len + 1)))
        return NULL;
    if (!l->file && !(l->file = fopen(path, known ? "ae" : "we"))) {
        if (!known)
            free(l);
        return NULL;
    }
    if (!known) {
        memcpy(l->path, path, len);
        HASH_ADD_KEYPTR(hh, logs, l->path, len, l);
    }
    l->refs++;
    return l;
}

FILE *joblog_file(struct joblog *l)
{
    return l->file;
}

void joblog_put(struct joblog *l)
{
    if (l && --l->refs == 0) {
        (void)fclose(l->file);
        l->file = NULL;
    }
}

void joblog_free_all(void)
{
    struct joblog *l, *next;

    HASH_ITER (hh, logs, l, next) {
        HASH_DEL(logs, l);
        if (l->file)
            (void)fclose(l->file);
        free(l);
    }
}
