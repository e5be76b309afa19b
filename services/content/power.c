/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The real files hold what the computer sees. Here each has an image of what the disk has, and a
 * list of what was written since. At the cut the images get their share of the lists. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/list.h"
#include "content/power.h"

#define SECTOR 512

struct pending_write {
    TAILQ_ENTRY(pending_write) link;
    uint64_t offset;
    uint64_t size; /* of data; without data: the file is cut here */
    char *data;
};

struct file {
    LIST_ENTRY(file) link;
    char path[256];
    ino_t inode;
    bool there;         /* the computer sees it */
    bool on_disk;       /* its name is in the directory on the disk */
    bool name_unsynced; /* one of them is news */
    char *image;
    uint64_t size;
    TAILQ_HEAD(, pending_write) writes;
};

static struct {
    char dir[200];
    LIST_HEAD(, file) files;
    int left;
    bool off;
    unsigned int seed;
    sqlite3_vfs *original;
    sqlite3_vfs vfs;
} power;

/* --- files */

static void file_free(struct file *f)
{
    struct pending_write *w;

    while ((w = TAILQ_FIRST(&f->writes))) {
        TAILQ_REMOVE(&f->writes, w, link);
        free(w->data);
        free(w);
    }
    LIST_REMOVE(f, link);
    free(f->image);
    free(f);
}

static struct file *file_new(const char *path)
{
    struct file *f = calloc(1, sizeof(*f));

    (void)snprintf(f->path, sizeof(f->path), "%s", path);
    f->there = true;
    f->name_unsynced = true;
    TAILQ_INIT(&f->writes);
    LIST_INSERT_HEAD(&power.files, f, link);
    return f;
}

static struct file *file_find(const char *path)
{
    struct stat st;
    struct file *f;

    if (stat(path, &st) < 0)
        abort();
    LIST_FOREACH(f, &power.files, link)
    {
        if (f->there && f->inode == st.st_ino && strcmp(f->path, path) == 0)
            return f;
    }
    f = file_new(path);
    f->inode = st.st_ino;
    return f;
}

static struct file *file_of(int fd)
{
    char link[64], path[256];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        abort();
    path[n] = '\0';
    return file_find(path);
}

static void image_write(struct file *f, const char *data, uint64_t size, uint64_t offset)
{
    if (offset + size > f->size) {
        f->image = realloc(f->image, offset + size);
        memset(f->image + f->size, 0, offset + size - f->size);
        f->size = offset + size;
    }
    memcpy(f->image + offset, data, size);
}

static void image_apply(struct file *f, const struct pending_write *w)
{
    if (w->data)
        image_write(f, w->data, w->size, w->offset);
    else if (w->offset < f->size)
        f->size = w->offset;
}

static void note_write(struct file *f, const void *data, uint64_t size, uint64_t offset)
{
    struct pending_write *w = calloc(1, sizeof(*w));

    w->offset = offset;
    w->size = size;
    if (data) {
        w->data = malloc(size + 1);
        memcpy(w->data, data, size);
    }
    TAILQ_INSERT_TAIL(&f->writes, w, link);
}

static void note_sync(struct file *f)
{
    struct pending_write *w;

    while ((w = TAILQ_FIRST(&f->writes))) {
        TAILQ_REMOVE(&f->writes, w, link);
        image_apply(f, w);
        free(w->data);
        free(w);
    }
}

static void note_directory_sync(void)
{
    struct file *f, *next;

    for (f = LIST_FIRST(&power.files); f; f = next) {
        next = LIST_NEXT(f, link);
        f->on_disk = f->there;
        f->name_unsynced = false;
        if (!f->there)
            file_free(f);
    }
}

static void note_unlink(const char *path)
{
    struct file *f;

    LIST_FOREACH(f, &power.files, link)
    {
        if (f->there && strcmp(f->path, path) == 0) {
            f->there = false;
            f->name_unsynced = true;
        }
    }
}

/* --- the cut */

static bool chance(unsigned int percent)
{
    return (unsigned int)rand_r(&power.seed) % 100 < percent;
}

static void image_tear(struct file *f, const struct pending_write *w)
{
    for (uint64_t pos = 0; pos < w->size;) {
        uint64_t n = SECTOR - (w->offset + pos) % SECTOR;

        if (n > w->size - pos)
            n = w->size - pos;
        if (chance(50))
            image_write(f, w->data + pos, n, w->offset + pos);
        pos += n;
    }
}

/* This time the disk had written so many percent of what it was given. */
static void file_cut(struct file *f, unsigned int percent)
{
    struct pending_write *w;

    TAILQ_FOREACH (w, &f->writes, link) {
        bool torn = w->data && chance(20);

        if (torn && chance(percent))
            image_tear(f, w);
        else if (!torn && chance(percent))
            image_apply(f, w);
    }
    if (f->name_unsynced && chance(50))
        f->on_disk = f->there;
}

static void cut(void)
{
    static const unsigned int percents[] = { 0, 30, 50, 90, 100 };
    unsigned int percent = percents[(unsigned int)rand_r(&power.seed) % ARRAY_SIZE(percents)];
    struct file *f;

    power.off = true;
    LIST_FOREACH(f, &power.files, link)
    file_cut(f, percent);
}

/* True: there is no power any more, nor will there be after this call. */
static bool tick(void)
{
    if (!power.off && power.left-- == 0)
        cut();
    return power.off;
}

/* --- the journal's calls */

static ssize_t on_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct file *f = file_of(fd);
    ssize_t n = 0;

    errno = EIO;
    if (power.off)
        return -1;
    for (int i = 0; i < count; i++) {
        note_write(f, iov[i].iov_base, iov[i].iov_len, (uint64_t)(offset + n));
        n += (ssize_t)iov[i].iov_len;
    }
    return tick() ? -1 : pwritev(fd, iov, count, offset);
}

static int on_fdatasync(int fd)
{
    errno = EIO;
    if (tick())
        return -1;
    note_sync(file_of(fd));
    return 0;
}

static int on_unlink(const char *path)
{
    errno = EIO;
    if (power.off)
        return -1;
    note_unlink(path);
    return tick() ? -1 : unlink(path);
}

static int on_sync_directory(const char *path)
{
    errno = EIO;
    if (tick())
        return -1;
    (void)file_find(path);
    note_directory_sync();
    return 0;
}

const struct segment_io power_io = { on_pwritev, on_fdatasync, on_unlink, on_sync_directory };

/* --- SQLite's calls */

/* Behind the file object of the default VFS. */
struct vfs_file {
    char path[256];
    bool new_log;
    const sqlite3_io_methods *original;
    sqlite3_io_methods methods;
};

static struct vfs_file *own(sqlite3_file *f)
{
    return (struct vfs_file *)((char *)f + power.original->szOsFile);
}

static int vfs_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    if (power.off)
        return SQLITE_IOERR_WRITE;
    note_write(file_find(own(f)->path), data, (uint64_t)n, (uint64_t)at);
    return tick() ? SQLITE_IOERR_WRITE : own(f)->original->xWrite(f, data, n, at);
}

static int vfs_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    if (power.off)
        return SQLITE_IOERR_TRUNCATE;
    note_write(file_find(own(f)->path), NULL, 0, (uint64_t)size);
    return tick() ? SQLITE_IOERR_TRUNCATE : own(f)->original->xTruncate(f, size);
}

static int vfs_sync(sqlite3_file *f, int flags)
{
    if (tick())
        return SQLITE_IOERR_FSYNC;
    note_sync(file_find(own(f)->path));
    /* SQLite syncs the directory with the first sync of a log that it made. */
    if (own(f)->new_log)
        note_directory_sync();
    own(f)->new_log = false;
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    bool is_new = name && access(name, F_OK) < 0;
    int rc = power.original->xOpen(power.original, name, f, flags, out);
    struct vfs_file *o;

    if (rc != SQLITE_OK || !name || !f->pMethods)
        return rc;
    o = own(f);
    (void)snprintf(o->path, sizeof(o->path), "%s", name);
    o->new_log = is_new && !(flags & SQLITE_OPEN_MAIN_DB);
    o->original = f->pMethods;
    o->methods = *f->pMethods;
    o->methods.xWrite = vfs_write;
    o->methods.xTruncate = vfs_truncate;
    o->methods.xSync = vfs_sync;
    f->pMethods = &o->methods;
    (void)file_find(name);
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    if (power.off)
        return SQLITE_IOERR_DELETE;
    note_unlink(name);
    if (tick())
        return SQLITE_IOERR_DELETE;
    if (sync_directory)
        note_directory_sync();
    return power.original->xDelete(power.original, name, 0);
}

void power_register(void)
{
    power.original = sqlite3_vfs_find(NULL);
    power.vfs = *power.original;
    power.vfs.zName = "power";
    power.vfs.pNext = NULL;
    power.vfs.szOsFile += (int)sizeof(struct vfs_file);
    power.vfs.xOpen = vfs_open;
    power.vfs.xDelete = vfs_delete;
    (void)sqlite3_vfs_register(&power.vfs, 1);
}

/* --- begin and end */

static void read_image(struct file *f)
{
    struct stat st;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        abort();
    f->inode = st.st_ino;
    f->size = (uint64_t)st.st_size;
    f->image = malloc(f->size + 1);
    if (read(fd, f->image, f->size) != (ssize_t)f->size)
        abort();
    (void)close(fd);
}

static void each_name(void (*fn)(const char *path))
{
    DIR *dir = opendir(power.dir);
    struct dirent *e;
    char path[256];

    while ((e = readdir(dir))) {
        if (e->d_name[0] != '.' &&
            (size_t)snprintf(path, sizeof(path), "%s/%s", power.dir, e->d_name) < sizeof(path))
            fn(path);
    }
    (void)closedir(dir);
}

static void take_file(const char *path)
{
    struct file *f = file_new(path);

    f->on_disk = true;
    f->name_unsynced = false;
    read_image(f);
}

void power_begin(const char *dir, unsigned int seed, int n)
{
    (void)snprintf(power.dir, sizeof(power.dir), "%s", dir);
    while (!LIST_EMPTY(&power.files))
        file_free(LIST_FIRST(&power.files));
    power.off = false;
    power.seed = seed;
    power.left = n;
    each_name(take_file);
}

bool power_is_off(void)
{
    return power.off;
}

static void remove_file(const char *path)
{
    (void)unlink(path);
}

void power_restore(void)
{
    struct file *f;

    each_name(remove_file);
    LIST_FOREACH(f, &power.files, link)
    {
        int fd;

        if (!f->on_disk)
            continue;
        fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, f->image, f->size) != (ssize_t)f->size)
            abort();
        (void)close(fd);
    }
}
