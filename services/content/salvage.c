/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reads the old file with a connection of its own that puts up with pages that are bad: from a row
 * that cannot be read it goes on number by number until one can. A file that SQLite will not open
 * because its first page is bad or its end is missing gets a first page like that of a new store
 * (every store is made by the same statements, so its tables begin on the same pages) and zeros at
 * the end.
 *
 * Nothing is taken over that does not match its digest, or is no JSON. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/errorx.h"
#include "content/salvage.h"

#define PAGE          4096 /* of every store */
#define BATCH_BLOBS   2000
#define BATCH_BYTES   (16u << 20)
#define BAD_ROWS_MAX  100000 /* one after the other, when nobody says which is the last one */
#define CHANGES_AT    24     /* in the first page: how often the file was changed, */
#define PAGES_AT      28     /* how many pages it has, */
#define FREE_AT       32     /* and which are free */
#define VALID_FOR_AT  92
#define TREE_INTERIOR 0x05 /* what a page begins with */
#define TREE_LEAF     0x0d

struct salvager {
    const struct store_params *params;
    const atomic_bool *stop;
    struct salvage_report *report;
    flux_error_t *error;
    sqlite3 *old;
    sqlite3_stmt *ages; /* of it: when a blob came that nobody referred to; NULL: none */
    struct store *new;
    size_t batch_blobs, batch_bytes;
};

static char *path_with(const struct salvager *sv, const char *suffix)
{
    char *path;

    return asprintf(&path, "%s%s", sv->params->path, suffix) < 0 ? NULL : path;
}

static int fail_new(struct salvager *sv, int rc)
{
    return errorx_fail(sv->error, -rc, "%s.new: %s", sv->params->path, store_strerror(sv->new));
}

/* --- files */

static int move_file(const struct salvager *sv, const char *from, const char *to)
{
    CLEANUP(freep) char *a = path_with(sv, from);
    CLEANUP(freep) char *b = path_with(sv, to);

    if (!a || !b)
        return -ENOMEM;
    return rename(a, b) < 0 && errno != ENOENT
               ? errorx_fail(sv->error, errno, "%s: %s", b, strerror(errno))
               : 0;
}

static void remove_file(const struct salvager *sv, const char *suffix)
{
    CLEANUP(freep) char *path = path_with(sv, suffix);

    if (path)
        (void)unlink(path);
}

/* --- the old file */

static int open_old(struct salvager *sv, const char *path)
{
    static const char *const probe = "SELECT count(*) FROM sqlite_master WHERE name='blobs'";
    sqlite3_stmt *stmt = NULL;
    int rc;

    (void)sqlite3_close(sv->old);
    sv->old = NULL;
    rc = sqlite3_open_v2(path, &sv->old, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(sv->old, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA mmap_size=0;", NULL, NULL,
                          NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(sv->old, probe, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    rc = rc == SQLITE_ROW && sqlite3_column_int(stmt, 0) == 1 ? 0 : -EBADMSG;
    (void)sqlite3_finalize(stmt);
    return rc;
}

static void put_u32be(uint8_t *p, uint32_t n)
{
    p[0] = (uint8_t)(n >> 24);
    p[1] = (uint8_t)(n >> 16);
    p[2] = (uint8_t)(n >> 8);
    p[3] = (uint8_t)n;
}

/* How many pages the file should have: what its first page says, if that may be. */
static uint32_t pages_of(const uint8_t *page, off_t size)
{
    uint32_t there = (uint32_t)((size + PAGE - 1) / PAGE);
    uint32_t said = (uint32_t)page[PAGES_AT] << 24 | (uint32_t)page[PAGES_AT + 1] << 16 |
                    (uint32_t)page[PAGES_AT + 2] << 8 | page[PAGES_AT + 3];

    return said > there && said / 64 < there + 1024 ? said : there;
}

static int patch_first_page(int fd, const uint8_t *fresh)
{
    uint8_t page[PAGE] = { 0 };
    struct stat st;
    uint32_t pages;

    if (fstat(fd, &st) < 0 || pread(fd, page, sizeof(page), 0) < 0)
        return -errno;
    pages = pages_of(page, st.st_size);
    memcpy(page, fresh, sizeof(page));
    put_u32be(page + PAGES_AT, pages);
    put_u32be(page + FREE_AT, 0);
    put_u32be(page + FREE_AT + 4, 0);
    memcpy(page + VALID_FOR_AT, page + CHANGES_AT, 4);
    if (ftruncate(fd, (off_t)pages * PAGE) < 0 || pwrite(fd, page, sizeof(page), 0) != PAGE)
        return -EIO;
    return 0;
}

/* Stores of former builds have the first tree of a table on the second page, newer ones the list of
 * who refers to which page (store.c). */
static bool is_fixed(int fd)
{
    uint8_t type;

    return pread(fd, &type, 1, PAGE) == 1 && (type == TREE_INTERIOR || type == TREE_LEAF);
}

/* The first page of a store that is empty. */
static int make_first_page(struct salvager *sv, bool fixed, uint8_t fresh[PAGE])
{
    CLEANUP(freep) char *path = path_with(sv, ".empty");
    CLEANUP(closep) int fd = -EBADF;
    struct store_params params = *sv->params;
    struct store *st = NULL;
    int rc;

    if (!path)
        return errorx_fail(sv->error, ENOMEM, "out of memory");
    params.path = path;
    params.fixed = fixed;
    (void)unlink(path);
    if ((rc = store_open(&params, &st, sv->error)) == 0 && (rc = store_settle(st)) < 0)
        rc = errorx_fail(sv->error, -rc, "%s: %s", path, store_strerror(st));
    store_close(st);
    if (rc == 0 &&
        ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 || pread(fd, fresh, PAGE, 0) != PAGE))
        rc = errorx_fail(sv->error, EIO, "%s: cannot be read", path);
    (void)unlink(path);
    return rc;
}

static int patch_old(struct salvager *sv, const char *old_path)
{
    CLEANUP(closep) int old = open(old_path, O_RDWR | O_CLOEXEC);
    uint8_t fresh[PAGE];
    int rc;

    (void)sqlite3_close(sv->old);
    sv->old = NULL;
    if (old < 0)
        return errorx_fail(sv->error, EIO, "%s: cannot be read", old_path);
    rc = make_first_page(sv, is_fixed(old), fresh);
    return rc < 0 ? rc : patch_first_page(old, fresh);
}

/* --- taking over */

static int begin_batch(struct salvager *sv)
{
    int rc = store_begin(sv->new);

    sv->batch_blobs = sv->batch_bytes = 0;
    return rc < 0 ? fail_new(sv, rc) : 0;
}

static int end_batch(struct salvager *sv)
{
    int rc = store_commit(sv->new);

    return rc < 0 ? fail_new(sv, rc) : 0;
}

/* When the blob of a row came, if nobody referred to it then; 0: not so. Where that cannot be read
 * it is now: what is kept too long can still be removed. */
static int64_t age_of(struct salvager *sv, int64_t row)
{
    const int64_t now = (int64_t)time(NULL);
    int64_t stored = 0;
    int step;

    if (!sv->ages) /* a file of a former build has no such table */
        return 0;
    (void)sqlite3_bind_int64(sv->ages, 1, row);
    step = sqlite3_step(sv->ages);
    if (step == SQLITE_ROW)
        stored = sqlite3_column_int64(sv->ages, 0);
    (void)sqlite3_reset(sv->ages);
    if (step == SQLITE_DONE)
        return 0;
    return step == SQLITE_ROW && stored > 0 && stored < now ? stored : now;
}

static int take_age(struct salvager *sv, int64_t row, const uint8_t digest[DIGEST_SIZE])
{
    const int64_t stored = age_of(sv, row);
    int rc = stored > 0 ? store_set_loose(sv->new, digest, stored) : 0;

    return rc < 0 ? fail_new(sv, rc) : 0;
}

static int take_blob(struct salvager *sv, sqlite3_stmt *stmt)
{
    const void *digest = sqlite3_column_blob(stmt, 1);
    bool has_digest = sqlite3_column_bytes(stmt, 1) == DIGEST_SIZE;
    const void *data = sqlite3_column_blob(stmt, 2);
    size_t size = (size_t)sqlite3_column_bytes(stmt, 2);
    uint8_t actual[DIGEST_SIZE];
    int rc;

    digest_compute(sv->params->hash, size ? data : "", size, actual);
    if (!has_digest || memcmp(actual, digest, DIGEST_SIZE) != 0) {
        sv->report->damaged++;
        return 0;
    }
    if ((rc = store_put_blob(sv->new, actual, data, size)) < 0)
        return fail_new(sv, rc);
    if ((rc = take_age(sv, sqlite3_column_int64(stmt, 0), actual)) < 0)
        return rc;
    sv->report->blobs++;
    sv->report->bytes += size;
    sv->batch_bytes += size;
    if (++sv->batch_blobs < BATCH_BLOBS && sv->batch_bytes < BATCH_BYTES)
        return 0;
    return (rc = end_batch(sv)) < 0 ? rc : begin_batch(sv);
}

static int64_t last_row(struct salvager *sv)
{
    sqlite3_stmt *stmt = NULL;
    int64_t last = 0;

    if (sqlite3_prepare_v2(sv->old, "SELECT max(rowid) FROM blobs", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        last = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return last;
}

static int take_blobs(struct salvager *sv)
{
    static const char *const sql = "SELECT rowid,digest,data FROM blobs"
                                   " WHERE rowid>=?1 ORDER BY rowid LIMIT 1";
    int64_t last = last_row(sv);
    sqlite3_stmt *stmt = NULL;
    int64_t bad = 0;
    int rc = 0;

    if (sqlite3_prepare_v2(sv->old, sql, -1, &stmt, NULL) != SQLITE_OK)
        return 0;
    for (int64_t row = 1; rc == 0; row++) {
        int step;

        if (sv->stop && atomic_load(sv->stop))
            rc = errorx_fail(sv->error, ECANCELED, "the repair was given up");
        (void)sqlite3_bind_int64(stmt, 1, row);
        step = sqlite3_step(stmt);
        if (rc == 0 && step == SQLITE_ROW) {
            row = sqlite3_column_int64(stmt, 0);
            rc = take_blob(sv, stmt);
            bad = 0;
        } else if (step != SQLITE_DONE) {
            sv->report->broken = true;
            bad++;
        }
        (void)sqlite3_reset(stmt);
        if (step == SQLITE_DONE || (last > 0 ? row >= last : bad > BAD_ROWS_MAX))
            break;
    }
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* A table of two texts. */
static int take_pairs(struct salvager *sv, const char *sql,
                      int (*put)(struct store *st, const char *key, const char *value),
                      uint64_t *taken, uint64_t *lost)
{
    sqlite3_stmt *stmt = NULL;
    int step = SQLITE_DONE;
    int rc = 0;

    if (sqlite3_prepare_v2(sv->old, sql, -1, &stmt, NULL) == SQLITE_OK) {
        while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
            const char *key = (const char *)sqlite3_column_text(stmt, 0);
            const char *value = (const char *)sqlite3_column_text(stmt, 1);
            json_t *o = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;

            if (key && o && (rc = put(sv->new, key, value)) == 0)
                ++*taken;
            else if (rc == 0)
                ++*lost;
            json_decref(o);
        }
    }
    (void)sqlite3_finalize(stmt);
    sv->report->broken |= step != SQLITE_DONE && step != SQLITE_ROW;
    return rc < 0 ? fail_new(sv, rc) : 0;
}

static int put_folded(struct store *st, const char *key, const char *value)
{
    uint64_t n = strtoull(value, NULL, 10);

    return n > 0 ? store_set_folded(st, n) : 0;
}

static int check_hash(struct salvager *sv)
{
    static const char *const sql = "SELECT value FROM meta WHERE key='hash'";
    enum digest_algorithm hash = sv->params->hash;
    sqlite3_stmt *stmt = NULL;
    const char *name = NULL;

    if (sqlite3_prepare_v2(sv->old, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        name = (const char *)sqlite3_column_text(stmt, 0);
    if (name)
        (void)digest_algorithm_parse(name, &hash);
    (void)sqlite3_finalize(stmt);
    return hash == sv->params->hash
               ? 0
               : errorx_fail(sv->error, EINVAL, "%s was made with content.hash = %s",
                             sv->params->path, digest_algorithm_name(hash));
}

static void open_ages(struct salvager *sv)
{
    static const char *const sql = "SELECT stored FROM loose WHERE row=?1";

    if (sqlite3_prepare_v2(sv->old, sql, -1, &sv->ages, NULL) != SQLITE_OK)
        sv->ages = NULL;
}

static void close_old(struct salvager *sv)
{
    (void)sqlite3_finalize(sv->ages);
    sv->ages = NULL;
    (void)sqlite3_close(sv->old);
    sv->old = NULL;
}

static int take_all(struct salvager *sv)
{
    uint64_t taken = 0, lost = 0;
    int rc = check_hash(sv);

    if (rc < 0)
        return rc;
    if ((rc = begin_batch(sv)) < 0)
        return rc;
    open_ages(sv);
    if ((rc = take_blobs(sv)) < 0 ||
        (rc = take_pairs(sv, "SELECT ns,root FROM roots", store_set_root, &sv->report->roots,
                         &sv->report->lost_roots)) < 0 ||
        (rc = take_pairs(sv, "SELECT key,value FROM checkpoints", store_set_checkpoint, &taken,
                         &lost)) < 0 ||
        (rc = take_pairs(sv, "SELECT key,value FROM meta WHERE key='folded'", put_folded, &taken,
                         &lost)) < 0)
        return rc;
    return end_batch(sv);
}

/* --- all of it */

static int open_new(struct salvager *sv, const char *path)
{
    struct store_params params = *sv->params;

    params.path = path;
    return store_open(&params, &sv->new, sv->error);
}

static bool exists(const struct salvager *sv, const char *suffix)
{
    CLEANUP(freep) char *path = path_with(sv, suffix);

    return path && access(path, F_OK) == 0;
}

static int read_old(struct salvager *sv, const char *old_path)
{
    int rc = open_old(sv, old_path);

    if (rc < 0) {
        sv->report->broken = true;
        if ((rc = patch_old(sv, old_path)) < 0)
            return rc;
        if (open_old(sv, old_path) < 0) {
            sv->report->empty = true;
            return 0;
        }
    }
    return take_all(sv);
}

static int swap_files(struct salvager *sv, bool had_old)
{
    int rc;

    if (had_old && ((rc = move_file(sv, "-wal", ".damaged-wal")) < 0 ||
                    (rc = move_file(sv, "", ".damaged")) < 0))
        return rc;
    return move_file(sv, ".new", "");
}

static int salvage_files(struct salvager *sv)
{
    const char *path = sv->params->path;
    CLEANUP(freep) char *new_path = path_with(sv, ".new");
    bool has_old = exists(sv, "");
    int rc;

    if (!new_path)
        return errorx_fail(sv->error, ENOMEM, "out of memory");
    /* One before us ended while it changed the files' names. */
    if (!has_old && exists(sv, ".new") && exists(sv, ".damaged"))
        return swap_files(sv, false);
    remove_file(sv, ".new");
    remove_file(sv, ".new-wal");
    if ((rc = open_new(sv, new_path)) < 0)
        return rc;
    sv->report->empty = !has_old;
    rc = has_old ? read_old(sv, path) : 0;
    close_old(sv);
    if (rc == 0 && (rc = store_settle(sv->new)) < 0)
        rc = fail_new(sv, rc);
    sv->new = store_close(sv->new);
    if (rc < 0)
        return rc;
    if (has_old)
        (void)snprintf(sv->report->kept, sizeof(sv->report->kept), "%s.damaged", path);
    return swap_files(sv, has_old);
}

int salvage(const struct store_params *params, const atomic_bool *stop,
            struct salvage_report *report, flux_error_t *error)
{
    struct salvager sv = { .params = params, .stop = stop, .report = report, .error = error };
    int rc;

    memset(report, 0, sizeof(*report));
    rc = salvage_files(&sv);
    close_old(&sv);
    store_close(sv.new);
    return rc;
}
