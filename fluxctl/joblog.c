/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files that the output of submit goes to. Names may contain {cc}, so there may be many: a file is
 * closed when the last of its jobs is done with it. */
#include "joblog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "client.h"

struct joblog {
    UT_hash_handle hh;
    FILE *file; /* NULL: not open now */
    int refs;
    bool lost; /* what was written */
    char path[];
};

static struct joblog *logs;
static bool any_lost;

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

/* What is lost is said once for each file. */
static void close_file(struct joblog *l)
{
    const bool lost = ferror(l->file);

    if ((fclose(l->file) != 0 || lost) && !l->lost) {
        complain("cannot write %s: %s", l->path, strerror(errno));
        l->lost = any_lost = true;
    }
    l->file = NULL;
}

void joblog_put(struct joblog *l)
{
    if (l && --l->refs == 0)
        close_file(l);
}

bool joblog_free_all(void)
{
    struct joblog *l, *next;

    HASH_ITER (hh, logs, l, next) {
        HASH_DEL(logs, l);
        if (l->file)
            close_file(l);
        free(l);
    }
    return !any_lost;
}
