/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The lock keeps daemons away. The hash is the one that the file was made with.
 *
 * A file that is no store is refused before anything is written, to it or beside it: SQLite would
 * make a store of any database, and salvage one of any file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/errorx.h"
#include "content/lock.h"
#include "content/offline.h"
#include "content/report.h"
#include "content/writer.h"

struct offline {
    char *path;
    int lock_fd;
    enum digest_algorithm hash;
    flux_error_t error;
};

bool offline_wanted(int argc, char **argv)
{
    return (argc == 3 && (strcmp(argv[1], "--check") == 0 || strcmp(argv[1], "--repair") == 0)) ||
           (argc == 4 && strcmp(argv[1], "--write") == 0);
}

static int find_path(struct offline *o, const char *arg)
{
    struct stat st;
    bool is_dir = stat(arg, &st) == 0 && S_ISDIR(st.st_mode);

    if (asprintf(&o->path, "%s%s", arg, is_dir ? "/content.sqlite" : "") < 0) {
        o->path = NULL;
        return errorx_fail(&o->error, ENOMEM, "out of memory");
    }
    return 0;
}

/* With one hash, and if the file was made with another, with that. */
static int open_store(struct offline *o, struct store **ret)
{
    struct store_params params = { .path = o->path, .sync = STORE_SYNC_FULL };
    int rc;

    params.hash = DIGEST_BLAKE2B;
    if ((rc = store_open(&params, ret, &o->error)) == -EINVAL) {
        params.hash = DIGEST_SHA256;
        rc = store_open(&params, ret, &o->error);
    }
    o->hash = params.hash;
    return rc;
}

static int check_all(struct offline *o, struct inspect_found *found)
{
    struct journal_params params = { .path = o->path, .sync = STORE_SYNC_FULL };
    CLEANUP(store_closep) struct store *st = NULL;
    CLEANUP(journal_closep) struct journal *j = NULL;
    struct inspect_pos pos = { 0 };
    struct segment_scan scan;
    int rc;

    if ((rc = open_store(o, &st)) < 0) {
        found->broken = rc == -EBADMSG;
        return rc == -EBADMSG ? 0 : rc;
    }
    params.hash = o->hash;
    if ((rc = journal_open(&params, st, &scan, &j, &o->error)) < 0)
        return rc;
    found->damaged_records = scan.damaged;
    do
        rc = inspect_step(st, j, false, &pos, found);
    while (rc > 0);
    return rc < 0 ? errorx_fail(&o->error, -rc, "%s: %s", o->path, store_strerror(st)) : 0;
}

static json_t *run_check(struct offline *o)
{
    CLEANUP(freep) struct inspect_found *found = calloc(1, sizeof(*found));
    int rc;

    if (!found)
        return NULL;
    if ((rc = lock_check(o->path, o->lock_fd, &o->error)) < 0)
        return NULL;
    rc = check_all(o, found);
    return rc < 0 ? NULL : report_found(o->hash, found);
}

static json_t *run_repair(struct offline *o)
{
    struct store_params params = { .path = o->path, .sync = STORE_SYNC_FULL };
    struct salvage_report report;
    struct store *st = NULL;

    int rc;

    if (access(o->path, F_OK) == 0)
        (void)open_store(o, &st); /* for the hash */
    store_close(st);
    params.hash = o->hash;
    rc = salvage(&params, NULL, &report, &o->error);
    if (rc == -EINVAL) { /* the other one, if it could be read only now */
        params.hash = params.hash == DIGEST_BLAKE2B ? DIGEST_SHA256 : DIGEST_BLAKE2B;
        rc = salvage(&params, NULL, &report, &o->error);
    }
    return rc < 0 ? NULL : report_salvage(&report);
}

static bool is_named_as_one(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash ? slash + 1 : path, "content.sqlite") == 0;
}

/* Does the first page have the table of blobs? It is named there in every store. */
static bool has_blobs(int fd)
{
    static const char table[] = "CREATE TABLE blobs(digest BLOB";
    char page[4096];
    ssize_t n = pread(fd, page, sizeof(page), 0);

    return n > 0 && memmem(page, (size_t)n, table, sizeof(table) - 1);
}

/* A store, also one that is damaged, or one that is gone but for its lock. */
static int check_is_store(struct offline *o)
{
    CLEANUP(freep) char *lock = NULL;
    CLEANUP(closep) int fd = open(o->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (asprintf(&lock, "%s-lock", o->path) < 0) {
        lock = NULL;
        return errorx_fail(&o->error, ENOMEM, "out of memory");
    }
    if (fd < 0 && errno == ENOENT)
        return access(lock, F_OK) == 0
                   ? 0
                   : errorx_fail(&o->error, ENOENT, "%s: there is no store", o->path);
    if (fd < 0)
        return errorx_fail(&o->error, errno, "%s: %s", o->path, strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (!is_named_as_one(o->path) && !has_blobs(fd)))
        return errorx_fail(&o->error, EINVAL,
                           "%s is not a content store, and left alone; one that is damaged at its "
                           "beginning must have the name content.sqlite",
                           o->path);
    return 0;
}

static int run_on_store(const char *what, const char *arg)
{
    struct offline o = { .lock_fd = -EBADF };
    CLEANUP(json_decrefp) json_t *report = NULL;

    if (find_path(&o, arg) == 0 && check_is_store(&o) == 0 &&
        lock_take(o.path, false, &o.lock_fd, &o.error) == 0)
        report = strcmp(what, "--check") == 0 ? run_check(&o) : run_repair(&o);
    if (report)
        (void)json_dumpf(report, stdout, JSON_COMPACT);
    else
        (void)fprintf(stderr, "flux-content: %s\n", o.error.text);
    closep(&o.lock_fd);
    free(o.path);
    return report ? EXIT_SUCCESS : EXIT_FAILURE;
}

int offline_run(int argc, char **argv)
{
    if (argc == 4)
        return writer_run(argv[2], argv[3]);
    return run_on_store(argv[1], argv[2]);
}
