/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One table of jobs with the attributes as JSON text, indexed for the ways people list: latest
 * first, by user, by name. The totals live in the table meta and change in the same transaction as
 * the jobs, so that opening reads five rows, not a million.
 *
 * Durability is the KVS's business: synchronous=NORMAL keeps the file consistent, and what a power
 * cut takes is read from the KVS again. A statement may run QUERY_USEC; beyond that it is
 * interrupted, because this is one thread with others waiting.
 *
 * A file is deleted only for what is in it. While it cannot be opened at all the index is in
 * memory, for as long as that lasts. */
#include <sqlite3.h>
#include <string.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "base/monotime.h"
#include "job-list/store.h"

#define STORE_VERSION 1
#define QUERY_USEC    500000
#define IN_MEMORY     ":memory:"
#define PROGRESS_OPS  10000 /* SQLite instructions between looks at the clock */

enum {
    STMT_PUT,
    STMT_GET,
    STMT_HAS,
    STMT_META,
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_REMOVE,
    STMT_OLDEST,
    STMT_LOCATE,
    STMT_COUNT
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *stmts[STMT_COUNT];
    size_t uncommitted;
    struct store_counts counts;
    uint64_t last, purged;
    uint64_t deadline_usec;
    bool in_memory;
};

DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize)

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS jobs(id INTEGER PRIMARY KEY, userid INTEGER NOT NULL,"
    "  result INTEGER NOT NULL, t_inactive REAL NOT NULL, name TEXT, attrs TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS jobs_latest ON jobs(t_inactive, id, result);"
    "CREATE INDEX IF NOT EXISTS jobs_user ON jobs(userid, t_inactive, id, result);"
    "CREATE INDEX IF NOT EXISTS jobs_name ON jobs(name, t_inactive, id, userid, result);"
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL)"
    "  WITHOUT ROWID;"
    "PRAGMA user_version=1;";

static const char *const sql[STMT_COUNT] = {
    [STMT_PUT] = ("INSERT OR IGNORE INTO jobs(id, userid, result, t_inactive, name, attrs)"
                  " VALUES(?, ?, ?, ?, ?, ?)"),
    [STMT_GET] = "SELECT attrs FROM jobs WHERE id = ?",
    [STMT_HAS] = "SELECT 1 FROM jobs WHERE id = ?",
    [STMT_META] = "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)",
    [STMT_REMOVE] = "DELETE FROM jobs WHERE id = ? RETURNING result",
    [STMT_OLDEST] = ("SELECT id, t_inactive FROM jobs WHERE (t_inactive, id) > (?1, ?2)"
                     " ORDER BY t_inactive, id LIMIT ?3"),
    [STMT_LOCATE] = "SELECT id, t_inactive FROM jobs WHERE id = ?",
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
};

/* --- open */

static int on_progress(void *arg)
{
    const struct store *s = arg;

    return s->deadline_usec && monotime_usec() > s->deadline_usec;
}

/* Why the file cannot be used: -EBADMSG: what is in it, -EIO: anything that may pass. */
static int open_error(const struct store *s)
{
    const int code = sqlite3_extended_errcode(s->db);

    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* another schema */
    case SQLITE_SCHEMA:
        return -EBADMSG;
    default:
        return code == SQLITE_IOERR_SHORT_READ ? -EBADMSG : -EIO;
    }
}

static int exec(struct store *s, const char *text)
{
    return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
}

static int get_user_version(struct store *s)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        return -EIO;
    return sqlite3_column_int(stmt, 0);
}

static uint64_t *meta_field(struct store *s, const char *key)
{
    const struct {
        const char *key;
        uint64_t *value;
    } fields[] = {
        { "completed", &s->counts.completed },
        { "failed", &s->counts.failed },
        { "canceled", &s->counts.canceled },
        { "timeout", &s->counts.timeout },
        { "last", &s->last },
        { "purged", &s->purged },
    };

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (strcmp(fields[i].key, key) == 0)
            return fields[i].value;
    return NULL;
}

static int read_meta(struct store *s)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *stmt = NULL;
    int rc;

    if (sqlite3_prepare_v2(s->db, "SELECT key, value FROM meta", -1, &stmt, NULL) != SQLITE_OK)
        return -EIO;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        uint64_t *value = meta_field(s, (const char *)sqlite3_column_text(stmt, 0));

        if (value)
            *value = (uint64_t)sqlite3_column_int64(stmt, 1);
    }
    return rc == SQLITE_DONE ? 0 : -EIO;
}

static int try_open(const char *path, struct store **ret)
{
    CLEANUP(store_closep) struct store *s = calloc(1, sizeof(*s));
    int version;

    if (!s)
        return -ENOMEM;
    if (sqlite3_open_v2(path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                            SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK ||
        exec(s, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                "PRAGMA synchronous=NORMAL; PRAGMA mmap_size=0; PRAGMA cache_size=-2048;") < 0)
        return open_error(s);
    version = get_user_version(s);
    if (version > 0 && version != STORE_VERSION)
        return -EBADMSG;
    if (version < 0 || exec(s, schema) < 0)
        return open_error(s);
    for (size_t i = 0; i < STMT_COUNT; i++)
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[i], NULL) !=
            SQLITE_OK)
            return open_error(s);
    if (read_meta(s) < 0)
        return open_error(s);
    sqlite3_progress_handler(s->db, PROGRESS_OPS, on_progress, s);
    *ret = TAKE(s);
    return 0;
}

static void delete_files(const char *path)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    char name[4096];

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (snprintf(name, sizeof(name), "%s%s", path, suffixes[i]) < (int)sizeof(name))
            (void)unlink(name);
}

int store_open(const char *path, struct store **ret, flux_error_t *error)
{
    int rc = try_open(path, ret);

    if (rc == -EBADMSG) {
        delete_files(path);
        rc = try_open(path, ret);
    }
    if (rc == 0)
        return 0;
    if (try_open(IN_MEMORY, ret) < 0)
        return errorx_fail(error, EIO, "%s: cannot be opened or created", path);
    (*ret)->in_memory = true;
    return 0;
}

bool store_in_memory(const struct store *s)
{
    return s->in_memory;
}

bool store_could_open(const char *path)
{
    CLEANUP(store_closep) struct store *s = NULL;

    return try_open(path, &s) == 0;
}

struct store *store_close(struct store *s)
{
    if (!s)
        return NULL;
    (void)store_commit(s);
    for (size_t i = 0; i < STMT_COUNT; i++)
        (void)sqlite3_finalize(s->stmts[i]);
    (void)sqlite3_close(s->db);
    free(s);
    return NULL;
}

/* --- put */

static int step(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE ? 0 : -EIO;
}

static int put_row(struct store *s, const struct job *job, const char *attrs)
{
    sqlite3_stmt *stmt = s->stmts[STMT_PUT];

    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)job->id);
    (void)sqlite3_bind_int64(stmt, 2, job->userid);
    (void)sqlite3_bind_int(stmt, 3, (int)job->result);
    (void)sqlite3_bind_double(stmt, 4, job->t_inactive);
    (void)sqlite3_bind_text(stmt, 5, job->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 6, attrs, -1, SQLITE_STATIC);
    return step(stmt);
}

static uint64_t *count_of(struct store *s, flux_job_result_t result)
{
    switch (result) {
    case FLUX_JOB_RESULT_COMPLETED:
        return &s->counts.completed;
    case FLUX_JOB_RESULT_CANCELED:
        return &s->counts.canceled;
    case FLUX_JOB_RESULT_TIMEOUT:
        return &s->counts.timeout;
    default:
        return &s->counts.failed;
    }
}

/* The disk is full or failing: forget everything since the last commit, totals included. */
static int roll_back(struct store *s)
{
    (void)exec(s, "ROLLBACK");
    s->uncommitted = 0;
    s->counts = (struct store_counts){ 0 };
    s->last = s->purged = 0;
    (void)read_meta(s);
    return -EIO;
}

static int begin(struct store *s)
{
    s->deadline_usec = 0;
    if (s->uncommitted == 0 && step(s->stmts[STMT_BEGIN]) < 0)
        return -EIO;
    s->uncommitted++;
    return 0;
}

int store_put(struct store *s, const struct job *job)
{
    CLEANUP(json_decrefp) json_t *o = attrs_encode(job, ATTRS_ALL);
    CLEANUP(freep) char *attrs = o ? json_dumps(o, JSON_COMPACT) : NULL;

    if (!attrs)
        return -ENOMEM;
    if (begin(s) < 0)
        return -EIO;
    if (put_row(s, job, attrs) < 0)
        return roll_back(s);
    if (sqlite3_changes(s->db) == 1)
        (*count_of(s, job->result))++;
    if (job->ninactive > s->last)
        s->last = job->ninactive;
    return 0;
}

int store_remove(struct store *s, flux_jobid_t id)
{
    sqlite3_stmt *stmt = s->stmts[STMT_REMOVE];
    int rc;

    if (begin(s) < 0)
        return -EIO;
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)id);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        (*count_of(s, (flux_job_result_t)sqlite3_column_int(stmt, 0)))--;
        rc = sqlite3_step(stmt);
    }
    (void)sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? 0 : roll_back(s);
}

int store_add_purged(struct store *s, uint64_t count)
{
    if (begin(s) < 0)
        return -EIO;
    s->purged += count;
    return 0;
}

int store_commit(struct store *s)
{
    static const char *const keys[] = { "completed", "failed", "canceled",
                                        "timeout",   "last",   "purged" };

    if (s->uncommitted == 0)
        return 0;
    s->deadline_usec = 0;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        (void)sqlite3_bind_text(s->stmts[STMT_META], 1, keys[i], -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(s->stmts[STMT_META], 2, (sqlite3_int64)*meta_field(s, keys[i]));
        if (step(s->stmts[STMT_META]) < 0)
            return roll_back(s);
    }
    if (step(s->stmts[STMT_COMMIT]) < 0)
        return roll_back(s);
    s->uncommitted = 0;
    return 0;
}

size_t store_uncommitted(const struct store *s)
{
    return s->uncommitted;
}

int store_clear(struct store *s)
{
    (void)store_commit(s);
    if (exec(s, "DELETE FROM jobs; DELETE FROM meta;") < 0)
        return -EIO;
    s->counts = (struct store_counts){ 0 };
    s->last = s->purged = 0;
    return 0;
}

/* --- look */

bool store_has(struct store *s, flux_jobid_t id)
{
    sqlite3_stmt *stmt = s->stmts[STMT_HAS];
    bool found;

    s->deadline_usec = 0;
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)id);
    found = sqlite3_step(stmt) == SQLITE_ROW;
    (void)sqlite3_reset(stmt);
    return found;
}

/* Column 0 of the current row. */
static json_t *decode_attrs(sqlite3_stmt *stmt)
{
    const char *text = (const char *)sqlite3_column_text(stmt, 0);

    return text ? jsonx_decode_object(text, (size_t)sqlite3_column_bytes(stmt, 0), NULL) : NULL;
}

int store_get(struct store *s, flux_jobid_t id, json_t **ret_attrs)
{
    sqlite3_stmt *stmt = s->stmts[STMT_GET];
    json_t *attrs = NULL;
    int rc;

    s->deadline_usec = 0;
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)id);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        attrs = decode_attrs(stmt);
    (void)sqlite3_reset(stmt);
    if (rc == SQLITE_DONE)
        return -ENOENT;
    *ret_attrs = attrs;
    return attrs ? 0 : -EIO;
}

static int prepare_list(struct store *s, const struct query *q, size_t limit, sqlite3_stmt **ret)
{
    char text[400];

    (void)snprintf(text, sizeof(text),
                   "SELECT attrs FROM jobs WHERE t_inactive > ?1 AND (result & ?2) != 0%s%s%s"
                   " ORDER BY t_inactive DESC, id DESC LIMIT ?5",
                   q->any_user ? "" : " AND userid = ?3", q->name ? " AND name = ?4" : "",
                   q->queue ? " AND json_extract(attrs, '$.queue') = ?6" : "");
    if (sqlite3_prepare_v2(s->db, text, -1, ret, NULL) != SQLITE_OK)
        return -EIO;
    (void)sqlite3_bind_double(*ret, 1, q->since);
    (void)sqlite3_bind_int(*ret, 2, (int)q->results);
    if (!q->any_user)
        (void)sqlite3_bind_int64(*ret, 3, q->userid);
    if (q->name)
        (void)sqlite3_bind_text(*ret, 4, q->name, -1, SQLITE_STATIC);
    if (q->queue)
        (void)sqlite3_bind_text(*ret, 6, q->queue, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(*ret, 5, (sqlite3_int64)limit);
    return 0;
}

static int append_row(sqlite3_stmt *stmt, const struct query *q, json_t *array)
{
    CLEANUP(json_decrefp) json_t *all = decode_attrs(stmt);

    if (!all)
        return -EIO;
    return json_array_append_new(array, attrs_select(all, q->attrs)) < 0 ? -ENOMEM : 0;
}

int store_list(struct store *s, const struct query *q, json_t *array)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *stmt = NULL;
    size_t have = json_array_size(array);
    int rc, err = 0;

    if (!(q->states & FLUX_JOB_STATE_INACTIVE) || have >= q->max_entries)
        return 0;
    if ((err = prepare_list(s, q, q->max_entries - have, &stmt)) < 0)
        return err;
    s->deadline_usec = monotime_usec() + QUERY_USEC;
    while (err == 0 && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        if (rc == SQLITE_ROW)
            err = append_row(stmt, q, array);
        else
            err = rc == SQLITE_INTERRUPT ? -ETIME : -EIO;
    }
    s->deadline_usec = 0;
    return err;
}

/* Appends the rows of (id, t_inactive). */
static int append_places(sqlite3_stmt *stmt, json_t *array)
{
    int rc, err = 0;

    while (err == 0 && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        json_t *row = rc != SQLITE_ROW ? NULL
                                       : json_pack("[I, f]", sqlite3_column_int64(stmt, 0),
                                                   sqlite3_column_double(stmt, 1));

        if (rc != SQLITE_ROW)
            err = -EIO;
        else if (json_array_append_new(array, row) < 0)
            err = -ENOMEM;
    }
    (void)sqlite3_reset(stmt);
    return err;
}

int store_oldest(struct store *s, struct store_place after, size_t max, json_t *array)
{
    sqlite3_stmt *stmt = s->stmts[STMT_OLDEST];

    s->deadline_usec = 0;
    (void)sqlite3_bind_double(stmt, 1, after.t_inactive);
    (void)sqlite3_bind_int64(stmt, 2, (sqlite3_int64)after.id);
    (void)sqlite3_bind_int64(stmt, 3, (sqlite3_int64)max);
    return append_places(stmt, array);
}

int store_locate(struct store *s, flux_jobid_t id, json_t *array)
{
    sqlite3_stmt *stmt = s->stmts[STMT_LOCATE];
    const size_t before = json_array_size(array);
    int rc;

    s->deadline_usec = 0;
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)id);
    rc = append_places(stmt, array);
    return rc == 0 && json_array_size(array) == before ? -ENOENT : rc;
}

uint64_t store_purged(const struct store *s)
{
    return s->purged;
}

uint64_t store_count(const struct store *s)
{
    return s->counts.completed + s->counts.failed + s->counts.canceled + s->counts.timeout;
}

struct store_counts store_counts(const struct store *s)
{
    return s->counts;
}

uint64_t store_last(const struct store *s)
{
    return s->last;
}
