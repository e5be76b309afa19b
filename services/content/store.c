/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Blobs, namespace roots and checkpoints in one SQLite file.
 *
 * Layout: a blobs table with rowid and a unique index on the digest. Blobs then lie in the file in
 * the order they came; a WITHOUT ROWID table keyed by digest was measured at a third of the speed
 * and twice the size, because each insert splits a page of large rows.
 *
 * The connection holds the file exclusively: a second daemon on the same file is refused instead of
 * corrupting its idea of the roots. Reads never use mmap (a truncated file would be a SIGBUS).
 *
 * SQLite keeps for each page who refers to it (auto_vacuum), so that pages from the end of the file
 * can be moved into free ones nearer to its beginning, a few at a time. That is decided when a file
 * is made; one of a former build works as it did then.
 *
 * Invariants: what store_load() returns hashes to the digest asked for. A file of a newer version
 * or another hash algorithm is refused untouched.
 */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>
#include "base/errorx.h"
#include "base/number.h"
#include "content/store.h"

/* 1 knew no journal beside the file, 2 none whose files have a head, 3 no ages of blobs. */
#define STORE_VERSION   4
#define STORE_BUSY_MSEC 5000
#define STORE_PAGE      4096
/* Pages of SQLite's log after which a commit moves it into the file. When that waits for the disk,
 * seldom; else it should not take long. */
#define STORE_WAL_CHECKPOINT_SYNC 4000
#define STORE_WAL_CHECKPOINT_OFF  1000
/* The index of the digests is touched all over by each commit: what of it does not fit here is read
 * and parsed again. 16 MiB hold the index of 300,000 blobs; it is taken as needed. */
#define STORE_CACHE_KIB 16384

enum statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_BLOB_PUT,
    STMT_BLOB_GET,
    STMT_ROOT_SET,
    STMT_ROOT_DELETE,
    STMT_ROOTS,
    STMT_CHECKPOINT_SET,
    STMT_CHECKPOINT_GET,
    STMT_CHECKPOINTS,
    STMT_FOLDED_SET,
    STMT_ROW_LAST,
    STMT_ROW_FIND,
    STMT_ROW_NEXT,
    STMT_ROW_DATA,
    STMT_ROW_REMOVE,
    STMT_LOOSE_SET,
    STMT_LOOSE_GET,
    STMT_LOOSE_FORGET,
    STMT_COUNT
};

#define AUTO_VACUUM_INCREMENTAL 2

static const char *const statement_sql[STMT_COUNT] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_BLOB_PUT] = "INSERT INTO blobs(digest,size,data) VALUES(?1,?2,?3)"
                      " ON CONFLICT(digest) DO NOTHING",
    [STMT_BLOB_GET] = "SELECT data,size FROM blobs WHERE digest=?1",
    [STMT_ROOT_SET] = "INSERT INTO roots(ns,root) VALUES(?1,?2)"
                      " ON CONFLICT(ns) DO UPDATE SET root=?2",
    [STMT_ROOT_DELETE] = "DELETE FROM roots WHERE ns=?1",
    [STMT_ROOTS] = "SELECT ns,root FROM roots ORDER BY ns",
    [STMT_CHECKPOINT_SET] = "INSERT INTO checkpoints(key,value) VALUES(?1,?2)"
                            " ON CONFLICT(key) DO UPDATE SET value=?2",
    [STMT_CHECKPOINT_GET] = "SELECT value FROM checkpoints WHERE key=?1",
    [STMT_CHECKPOINTS] = "SELECT key,value FROM checkpoints",
    [STMT_FOLDED_SET] = "INSERT INTO meta(key,value) VALUES('folded',?1)"
                        " ON CONFLICT(key) DO UPDATE SET value=?1",
    [STMT_ROW_LAST] = "SELECT max(rowid) FROM blobs",
    [STMT_ROW_FIND] = "SELECT rowid FROM blobs WHERE digest=?1",
    [STMT_ROW_NEXT] = "SELECT rowid,digest,size FROM blobs WHERE rowid>?1 ORDER BY rowid LIMIT 1",
    [STMT_ROW_DATA] = "SELECT data,size FROM blobs WHERE rowid=?1",
    [STMT_ROW_REMOVE] = "DELETE FROM blobs WHERE rowid=?1",
    [STMT_LOOSE_SET] = "INSERT INTO loose SELECT rowid,?2 FROM blobs WHERE digest=?1"
                       " ON CONFLICT(row) DO UPDATE SET stored=max(stored,?2)",
    [STMT_LOOSE_GET] = "SELECT stored FROM loose WHERE row=?1",
    [STMT_LOOSE_FORGET] = "DELETE FROM loose WHERE row=?1",
};

/* The last one: salvage.c counts on where the others begin. */
#define TABLE_LOOSE \
    "CREATE TABLE IF NOT EXISTS loose(row INTEGER PRIMARY KEY, stored INTEGER NOT NULL);"

static const char *const schema =
    "BEGIN;"
    "CREATE TABLE blobs(digest BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE TABLE roots(ns TEXT NOT NULL PRIMARY KEY, root TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE checkpoints(key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE meta(key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT "
    "ROWID;" TABLE_LOOSE "PRAGMA user_version=4;";

struct store {
    sqlite3 *db;
    enum store_sync sync;
    enum digest_algorithm hash;
    sqlite3_stmt *stmt[STMT_COUNT];
    bool lazy; /* in a transaction that does not wait for the disk */
    void (*on_repeat)(uint64_t number, void *arg);
    void *on_repeat_arg;
    char errstr[160];
};

static const char *const sync_names[] = { "off", "normal", "full" };

const char *store_sync_name(enum store_sync sync)
{
    return sync_names[sync];
}

int store_sync_parse(const char *name, enum store_sync *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(sync_names); i++) {
        if (strcmp(name, sync_names[i]) == 0) {
            *ret = (enum store_sync)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int errno_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return -EACCES;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

/* Keeps the text of the failure and translates it. */
static int store_failed(struct store *st, int rc)
{
    (void)snprintf(st->errstr, sizeof(st->errstr), "%s (SQLite %d)", sqlite3_errmsg(st->db),
                   sqlite3_extended_errcode(st->db));
    return errno_of(rc);
}

const char *store_strerror(struct store *st)
{
    return st->errstr[0] ? st->errstr : "no error";
}

static int store_exec(struct store *st, const char *sql)
{
    int rc = sqlite3_exec(st->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : store_failed(st, rc);
}

static int store_execf(struct store *st, const char *fmt, int n)
{
    char sql[80];

    (void)snprintf(sql, sizeof(sql), fmt, n);
    return store_exec(st, sql);
}

/* A single integer or text result; -ENOENT if there is no row. */
static int store_query(struct store *st, const char *sql, int64_t *ret_int, char *ret_text,
                       size_t text_size)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    int result = -ENOENT;

    if (rc != SQLITE_OK)
        return store_failed(st, rc);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(stmt, 0);

        if (ret_int)
            *ret_int = sqlite3_column_int64(stmt, 0);
        if (ret_text)
            (void)snprintf(ret_text, text_size, "%s", text ? (const char *)text : "");
        result = 0;
    } else if (rc != SQLITE_DONE) {
        result = store_failed(st, rc);
    }
    (void)sqlite3_finalize(stmt);
    return result;
}

/* For a new file. Where it is so already it would be written again, for which a full disk has no
 * room: what is there must be readable all the same. */
static int store_make_shrink(struct store *st)
{
    int64_t mode = 0;
    int rc = store_query(st, "PRAGMA auto_vacuum", &mode, NULL, 0);

    if (rc < 0 || mode == AUTO_VACUUM_INCREMENTAL)
        return rc;
    return store_exec(st, "PRAGMA auto_vacuum=INCREMENTAL");
}

static int store_configure(struct store *st, const struct store_params *params)
{
    int rc;

    if ((rc = store_exec(st, "PRAGMA locking_mode=EXCLUSIVE")) < 0 ||
        (!params->fixed && (rc = store_make_shrink(st)) < 0) ||
        (rc = store_execf(st, "PRAGMA page_size=%d", STORE_PAGE)) < 0 ||
        (rc = store_exec(st, "PRAGMA mmap_size=0")) < 0 ||
        (rc = store_execf(st, "PRAGMA cache_size=-%d", STORE_CACHE_KIB)) < 0 ||
        (rc = store_exec(st, "PRAGMA journal_mode=WAL")) < 0 ||
        (rc = store_execf(st, "PRAGMA synchronous=%d", params->sync)) < 0 ||
        (rc = store_execf(st, "PRAGMA wal_autocheckpoint=%d",
                          params->sync == STORE_SYNC_OFF ? STORE_WAL_CHECKPOINT_OFF
                                                         : STORE_WAL_CHECKPOINT_SYNC)) < 0)
        return rc;
    return params->max_pages ? store_execf(st, "PRAGMA max_page_count=%d", params->max_pages) : 0;
}

static int store_create_schema(struct store *st, const struct store_params *params)
{
    char sql[80];
    int rc;

    (void)snprintf(sql, sizeof(sql), "INSERT INTO meta VALUES('hash','%s')",
                   digest_algorithm_name(params->hash));
    if ((rc = store_exec(st, schema)) < 0 || (rc = store_exec(st, sql)) < 0)
        return rc;
    return store_exec(st, "COMMIT");
}

static int store_check_schema(struct store *st, const struct store_params *params,
                              flux_error_t *error)
{
    const char *hash = digest_algorithm_name(params->hash);
    char text[32];
    int64_t version;
    int rc;

    if ((rc = store_query(st, "PRAGMA user_version", &version, NULL, 0)) < 0)
        return errorx_fail(error, -rc, "%s: %s", params->path, store_strerror(st));
    if (version == 0) {
        if ((rc = store_create_schema(st, params)) < 0)
            return errorx_fail(error, -rc, "%s: %s", params->path, store_strerror(st));
        return 0;
    }
    if (version < 0 || version > STORE_VERSION)
        return errorx_fail(error, EPROTO,
                           "%s has storage version %d, this flux-content knows %d: use the newer "
                           "one",
                           params->path, (int)version, STORE_VERSION);
    if ((rc = store_query(st, "SELECT value FROM meta WHERE key='hash'", NULL, text,
                          sizeof(text))) < 0)
        return errorx_fail(error, -rc, "%s: %s", params->path, store_strerror(st));
    if (strcmp(text, hash) != 0)
        return errorx_fail(error, EINVAL, "%s was made with content.hash = %s, not %s",
                           params->path, text, hash);
    if (version < STORE_VERSION &&
        ((rc = store_exec(st, TABLE_LOOSE)) < 0 ||
         (rc = store_execf(st, "PRAGMA user_version=%d", STORE_VERSION)) < 0))
        return errorx_fail(error, -rc, "%s: %s", params->path, store_strerror(st));
    return 0;
}

static int store_prepare(struct store *st)
{
    for (size_t i = 0; i < STMT_COUNT; i++) {
        int rc = sqlite3_prepare_v3(st->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &st->stmt[i], NULL);

        if (rc != SQLITE_OK)
            return store_failed(st, rc);
    }
    return 0;
}

int store_open(const struct store_params *params, struct store **ret, flux_error_t *error)
{
    CLEANUP(store_closep) struct store *st = calloc(1, sizeof(*st));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc;

    if (!st)
        return errorx_fail(error, ENOMEM, "out of memory");
    st->hash = params->hash;
    st->sync = params->sync;
    if ((rc = sqlite3_open_v2(params->path, &st->db, flags, NULL)) != SQLITE_OK)
        return errorx_fail(error, -errno_of(rc), "%s: %s", params->path, sqlite3_errstr(rc));
    (void)sqlite3_extended_result_codes(st->db, 1);
    (void)sqlite3_busy_timeout(st->db, STORE_BUSY_MSEC);
    if ((rc = store_configure(st, params)) < 0)
        return errorx_fail(error, -rc, "%s: %s%s", params->path, store_strerror(st),
                           rc == -EBUSY ? ": does another flux-content run on it?" : "");
    if ((rc = store_check_schema(st, params, error)) < 0)
        return rc;
    if ((rc = store_prepare(st)) < 0)
        return errorx_fail(error, -rc, "%s: %s", params->path, store_strerror(st));
    *ret = TAKE(st);
    return 0;
}

struct store *store_close(struct store *st)
{
    if (st) {
        for (size_t i = 0; i < STMT_COUNT; i++)
            (void)sqlite3_finalize(st->stmt[i]);
        (void)sqlite3_close(st->db);
        free(st);
    }
    return NULL;
}

/* Runs a statement that returns no rows, with its values bound, and resets it. */
static int store_run(struct store *st, enum statement which)
{
    sqlite3_stmt *stmt = st->stmt[which];
    int rc = sqlite3_step(stmt);
    int result = rc == SQLITE_DONE ? 0 : store_failed(st, rc);

    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return result;
}

int store_begin(struct store *st)
{
    return store_run(st, STMT_BEGIN);
}

int store_begin_lazily(struct store *st)
{
    int rc = store_execf(st, "PRAGMA synchronous=%d",
                         st->sync == STORE_SYNC_FULL ? STORE_SYNC_NORMAL : st->sync);

    if (rc < 0)
        return rc;
    st->lazy = true;
    return store_run(st, STMT_BEGIN);
}

/* The transaction is over. */
static void store_be_strict(struct store *st)
{
    if (st->lazy)
        (void)store_execf(st, "PRAGMA synchronous=%d", st->sync);
    st->lazy = false;
}

int store_commit(struct store *st)
{
    int rc = store_run(st, STMT_COMMIT);

    if (rc == 0)
        store_be_strict(st);
    return rc;
}

void store_rollback(struct store *st)
{
    /* A full disk has rolled back already. */
    if (!sqlite3_get_autocommit(st->db))
        (void)store_run(st, STMT_ROLLBACK);
    store_be_strict(st);
}

void store_on_repeat(struct store *st, void (*cb)(uint64_t number, void *arg), void *arg)
{
    st->on_repeat = cb;
    st->on_repeat_arg = arg;
}

static int tell_repeat(struct store *st, const uint8_t *digest)
{
    uint64_t number;
    int rc = store_find_row(st, digest, &number);

    if (rc == 0)
        st->on_repeat(number, st->on_repeat_arg);
    return rc;
}

int store_put_blob(struct store *st, const uint8_t digest[DIGEST_SIZE], const void *data,
                   size_t size)
{
    sqlite3_stmt *stmt = st->stmt[STMT_BLOB_PUT];
    int rc;

    if ((rc = sqlite3_bind_blob(stmt, 1, digest, DIGEST_SIZE, SQLITE_STATIC)) != SQLITE_OK ||
        (rc = sqlite3_bind_int64(stmt, 2, (int64_t)size)) != SQLITE_OK ||
        (rc = sqlite3_bind_blob64(stmt, 3, size ? data : "", size, SQLITE_STATIC)) != SQLITE_OK) {
        (void)sqlite3_clear_bindings(stmt);
        return store_failed(st, rc);
    }
    if ((rc = store_run(st, STMT_BLOB_PUT)) < 0 || sqlite3_changes(st->db) > 0 || !st->on_repeat)
        return rc;
    return tell_repeat(st, digest);
}

static int store_put_text(struct store *st, enum statement which, const char *key,
                          const char *value)
{
    sqlite3_stmt *stmt = st->stmt[which];
    int rc = sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);

    if (rc == SQLITE_OK && value)
        rc = sqlite3_bind_text(stmt, 2, value, -1, SQLITE_STATIC);
    if (rc != SQLITE_OK) {
        (void)sqlite3_clear_bindings(stmt);
        return store_failed(st, rc);
    }
    return store_run(st, which);
}

int store_set_root(struct store *st, const char *ns, const char *root)
{
    return store_put_text(st, root ? STMT_ROOT_SET : STMT_ROOT_DELETE, ns, root);
}

int store_set_checkpoint(struct store *st, const char *key, const char *value)
{
    return store_put_text(st, STMT_CHECKPOINT_SET, key, value);
}

int store_set_folded(struct store *st, uint64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    return store_put_text(st, STMT_FOLDED_SET, text, NULL);
}

int store_get_folded(struct store *st, uint64_t *ret_number)
{
    char text[24];
    int rc = store_query(st, "SELECT value FROM meta WHERE key='folded'", NULL, text, sizeof(text));

    *ret_number = 0;
    if (rc == -ENOENT)
        return 0;
    return rc < 0 ? rc : number_parse_u64(text, UINT64_MAX - 1, ret_number);
}

/* From SQLite's log into its file. So nothing is in the log alone, where what a damaged one lost
 * would not even be noticed; and the log is empty, for the beginning of one would hide newer pages
 * of the file. */
int store_settle(struct store *st)
{
    int rc = sqlite3_wal_checkpoint_v2(st->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    return rc == SQLITE_OK ? 0 : store_failed(st, rc);
}

/* Checks the row's blob against its digest and size, and lends it. */
static int store_check_blob(struct store *st, sqlite3_stmt *stmt, const uint8_t *digest,
                            const void **ret_data, size_t *ret_size)
{
    const void *data = sqlite3_column_blob(stmt, 0);
    size_t size = (size_t)sqlite3_column_bytes(stmt, 0);
    uint8_t actual[DIGEST_SIZE];

    if (size > 0 && !data) {
        (void)snprintf(st->errstr, sizeof(st->errstr), "out of memory");
        return -ENOMEM;
    }
    digest_compute(st->hash, size ? data : "", size, actual);
    if (memcmp(actual, digest, DIGEST_SIZE) != 0 ||
        sqlite3_column_int64(stmt, 1) != (int64_t)size) {
        (void)snprintf(st->errstr, sizeof(st->errstr),
                       "the stored bytes do not match their digest");
        return -EBADMSG;
    }
    *ret_data = data;
    *ret_size = size;
    return 0;
}

static int store_copy_blob(struct store *st, sqlite3_stmt *stmt, const uint8_t *digest,
                           void **ret_data, size_t *ret_size)
{
    CLEANUP(freep) void *copy = NULL;
    const void *data;
    size_t size;
    int rc = store_check_blob(st, stmt, digest, &data, &size);

    if (rc < 0)
        return rc;
    if (!(copy = malloc(size ? size : 1)))
        return -ENOMEM;
    if (size > 0)
        memcpy(copy, data, size);
    *ret_data = TAKE(copy);
    *ret_size = size;
    return 0;
}

int store_load(struct store *st, const uint8_t digest[DIGEST_SIZE], void **ret_data,
               size_t *ret_size)
{
    sqlite3_stmt *stmt = st->stmt[STMT_BLOB_GET];
    int result;
    int rc;

    if ((rc = sqlite3_bind_blob(stmt, 1, digest, DIGEST_SIZE, SQLITE_STATIC)) != SQLITE_OK)
        return store_failed(st, rc);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        result = store_copy_blob(st, stmt, digest, ret_data, ret_size);
    else
        result = rc == SQLITE_DONE ? -ENOENT : store_failed(st, rc);
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return result;
}

static int store_append_root(sqlite3_stmt *stmt, json_t *roots)
{
    const char *ns = (const char *)sqlite3_column_text(stmt, 0);
    const char *text = (const char *)sqlite3_column_text(stmt, 1);
    json_t *root = text ? json_loads(text, 0, NULL) : NULL;

    if (!ns || !root) {
        json_decref(root);
        return -EBADMSG;
    }
    return json_array_append_new(roots, json_pack("{s:s s:o}", "ns", ns, "root", root)) < 0
               ? -ENOMEM
               : 0;
}

int store_roots(struct store *st, json_t **ret)
{
    sqlite3_stmt *stmt = st->stmt[STMT_ROOTS];
    CLEANUP(json_decrefp) json_t *roots = json_array();
    int result = 0;
    int rc = SQLITE_DONE;

    while (roots && result == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        result = store_append_root(stmt, roots);
    if (result == 0 && rc != SQLITE_DONE)
        result = store_failed(st, rc);
    (void)sqlite3_reset(stmt);
    if (!roots)
        return -ENOMEM;
    if (result == 0)
        *ret = TAKE(roots);
    return result;
}

int store_checkpoints(struct store *st, json_t **ret)
{
    sqlite3_stmt *stmt = st->stmt[STMT_CHECKPOINTS];
    CLEANUP(json_decrefp) json_t *table = json_object();
    int result = table ? 0 : -ENOMEM;
    int rc = SQLITE_DONE;

    while (result == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (json_object_set_new(table, (const char *)sqlite3_column_text(stmt, 0),
                                json_string((const char *)sqlite3_column_text(stmt, 1))) < 0)
            result = -EBADMSG;
    }
    if (result == 0 && rc != SQLITE_DONE)
        result = store_failed(st, rc);
    (void)sqlite3_reset(stmt);
    if (result == 0)
        *ret = TAKE(table);
    return result;
}

int store_get_checkpoint(struct store *st, const char *key, char **ret_value)
{
    sqlite3_stmt *stmt = st->stmt[STMT_CHECKPOINT_GET];
    int result = -ENOENT;
    int rc;

    if ((rc = sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC)) != SQLITE_OK)
        return store_failed(st, rc);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *value = (const char *)sqlite3_column_text(stmt, 0);

        result = value && (*ret_value = strdup(value)) ? 0 : -ENOMEM;
    } else if (rc != SQLITE_DONE) {
        result = store_failed(st, rc);
    }
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return result;
}

/* --- rows */

/* Binds a number or, if digest is set, that; steps. 0: there is a row; -ENOENT; else reset. */
static int row_query(struct store *st, enum statement which, const uint8_t *digest, uint64_t number)
{
    sqlite3_stmt *stmt = st->stmt[which];
    int rc = SQLITE_OK;

    if (digest)
        rc = sqlite3_bind_blob(stmt, 1, digest, DIGEST_SIZE, SQLITE_STATIC);
    else if (sqlite3_bind_parameter_count(stmt) > 0)
        rc = sqlite3_bind_int64(stmt, 1, (int64_t)number);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return 0;
    rc = rc == SQLITE_DONE ? -ENOENT : store_failed(st, rc);
    (void)sqlite3_reset(stmt);
    return rc;
}

int store_last_row(struct store *st, uint64_t *ret_number)
{
    int rc = row_query(st, STMT_ROW_LAST, NULL, 0);

    if (rc < 0)
        return rc;
    *ret_number = (uint64_t)sqlite3_column_int64(st->stmt[STMT_ROW_LAST], 0);
    (void)sqlite3_reset(st->stmt[STMT_ROW_LAST]);
    return 0;
}

int store_find_row(struct store *st, const uint8_t digest[DIGEST_SIZE], uint64_t *ret_number)
{
    int rc = row_query(st, STMT_ROW_FIND, digest, 0);

    if (rc < 0)
        return rc;
    *ret_number = (uint64_t)sqlite3_column_int64(st->stmt[STMT_ROW_FIND], 0);
    (void)sqlite3_reset(st->stmt[STMT_ROW_FIND]);
    return 0;
}

int store_next_row(struct store *st, uint64_t after, struct store_row *ret)
{
    sqlite3_stmt *stmt = st->stmt[STMT_ROW_NEXT];
    int rc = row_query(st, STMT_ROW_NEXT, NULL, after);

    if (rc < 0)
        return rc;
    memset(ret, 0, sizeof(*ret));
    ret->number = (uint64_t)sqlite3_column_int64(stmt, 0);
    if (sqlite3_column_bytes(stmt, 1) == DIGEST_SIZE)
        memcpy(ret->digest, sqlite3_column_blob(stmt, 1), DIGEST_SIZE);
    ret->size = (uint64_t)sqlite3_column_int64(stmt, 2);
    (void)sqlite3_reset(stmt);
    return 0;
}

int store_check_row(struct store *st, const struct store_row *row)
{
    sqlite3_stmt *stmt = st->stmt[STMT_ROW_DATA];
    const void *data;
    size_t size;
    int rc = row_query(st, STMT_ROW_DATA, NULL, row->number);

    if (rc < 0)
        return rc;
    rc = store_check_blob(st, stmt, row->digest, &data, &size);
    (void)sqlite3_reset(stmt);
    return rc;
}

int store_remove_row(struct store *st, uint64_t number)
{
    int rc = row_query(st, STMT_ROW_REMOVE, NULL, number);

    return rc == -ENOENT ? 0 : rc;
}

int store_set_loose(struct store *st, const uint8_t digest[DIGEST_SIZE], int64_t seconds)
{
    sqlite3_stmt *stmt = st->stmt[STMT_LOOSE_SET];
    int rc;

    if ((rc = sqlite3_bind_blob(stmt, 1, digest, DIGEST_SIZE, SQLITE_STATIC)) != SQLITE_OK ||
        (rc = sqlite3_bind_int64(stmt, 2, seconds)) != SQLITE_OK) {
        (void)sqlite3_clear_bindings(stmt);
        return store_failed(st, rc);
    }
    return store_run(st, STMT_LOOSE_SET);
}

int store_get_loose(struct store *st, uint64_t number, int64_t *ret_seconds)
{
    int rc = row_query(st, STMT_LOOSE_GET, NULL, number);

    if (rc < 0)
        return rc;
    *ret_seconds = sqlite3_column_int64(st->stmt[STMT_LOOSE_GET], 0);
    (void)sqlite3_reset(st->stmt[STMT_LOOSE_GET]);
    return 0;
}

int store_forget_loose(struct store *st, uint64_t number)
{
    int rc = row_query(st, STMT_LOOSE_FORGET, NULL, number);

    return rc == -ENOENT ? 0 : rc;
}

enum digest_algorithm store_hash(const struct store *st)
{
    return st->hash;
}

/* --- room */

#define TRIM_KEEP_PAGES 1024u /* and a tenth of what is in use */

static int query_number(struct store *st, const char *sql, uint64_t *ret)
{
    int64_t n = 0;
    int rc = store_query(st, sql, &n, NULL, 0);

    *ret = (uint64_t)n;
    return rc;
}

int store_space(struct store *st, struct store_space *ret)
{
    uint64_t size, pages, free_pages, mode;
    int rc;

    if ((rc = query_number(st, "PRAGMA page_size", &size)) < 0 ||
        (rc = query_number(st, "PRAGMA page_count", &pages)) < 0 ||
        (rc = query_number(st, "PRAGMA freelist_count", &free_pages)) < 0 ||
        (rc = query_number(st, "PRAGMA auto_vacuum", &mode)) < 0)
        return rc;
    ret->bytes = pages * size;
    ret->free_bytes = free_pages * size;
    ret->shrinks = mode == AUTO_VACUUM_INCREMENTAL;
    return 0;
}

/* How many pages are more than should stay. */
static uint64_t excess_pages(const struct store_space *space)
{
    uint64_t page = STORE_PAGE;
    uint64_t used = (space->bytes - space->free_bytes) / page;
    uint64_t keep = used / 10 > TRIM_KEEP_PAGES ? used / 10 : TRIM_KEEP_PAGES;
    uint64_t there = space->free_bytes / page;

    return space->shrinks && there > keep ? there - keep : 0;
}

static int trim_pages(struct store *st, uint64_t pages)
{
    int rc = store_begin_lazily(st);

    if (rc < 0)
        return rc;
    if ((rc = store_execf(st, "PRAGMA incremental_vacuum(%d)", (int)pages)) < 0 ||
        (rc = store_commit(st)) < 0)
        store_rollback(st);
    return rc;
}

int store_trim(struct store *st, uint32_t pages, uint64_t *bytes)
{
    struct store_space before, after;
    uint64_t excess;
    int rc;

    if ((rc = store_space(st, &before)) < 0)
        return rc;
    if ((excess = excess_pages(&before)) == 0)
        return 0;
    if ((rc = trim_pages(st, excess < pages ? excess : pages)) < 0 ||
        (rc = store_space(st, &after)) < 0)
        return rc;
    *bytes += before.bytes - after.bytes;
    return after.bytes < before.bytes && excess > pages;
}
