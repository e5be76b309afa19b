/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wraps the default VFS. Files get a copy of their method table whose write and sync go through a
 * counter; SQLite has a table for the database and another for its log. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include "content/faulty-vfs.h"

static sqlite3_vfs *original;
static sqlite3_vfs faulty;
static struct {
    sqlite3_io_methods wrapped; /* first: found again from a file's pMethods */
    const sqlite3_io_methods *methods;
} tables[4];
static int left = -1;
static int count;
static bool filled;

static int fails(void)
{
    count++;
    if (left < 0)
        return 0;
    if (left == 0)
        return 1;
    left--;
    return 0;
}

static const sqlite3_io_methods *original_of(sqlite3_file *f)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (f->pMethods == &tables[i].wrapped)
            return tables[i].methods;
    }
    abort();
}

static int on_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    if (filled)
        return SQLITE_FULL;
    return fails() ? SQLITE_IOERR_WRITE : original_of(f)->xWrite(f, data, n, at);
}

static int on_sync(sqlite3_file *f, int flags)
{
    /* No test cuts the power, and a disk that is busy would make them take minutes. */
    return fails() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    int rc = original->xOpen(original, name, f, flags, out);

    for (size_t i = 0; rc == SQLITE_OK && f->pMethods && i < 4; i++) {
        if (!tables[i].methods) {
            tables[i].methods = f->pMethods;
            tables[i].wrapped = *f->pMethods;
            tables[i].wrapped.xWrite = on_write;
            tables[i].wrapped.xSync = on_sync;
        }
        if (f->pMethods == tables[i].methods) {
            f->pMethods = &tables[i].wrapped;
            break;
        }
    }
    return rc;
}

void faulty_vfs_register(void)
{
    original = sqlite3_vfs_find(NULL);
    faulty = *original;
    faulty.zName = "faulty";
    faulty.pNext = NULL;
    faulty.xOpen = on_open;
    (void)sqlite3_vfs_register(&faulty, 1);
}

void faulty_vfs_arm(int writes)
{
    left = writes;
}

void faulty_vfs_fill(bool full)
{
    filled = full;
}

int faulty_vfs_count(void)
{
    return count;
}
