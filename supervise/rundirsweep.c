/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The supervisor has a lock on a file in its directory, which the kernel lets go when it dies. The
 * file gets its name when it is locked: a directory without it is none of ours, or not ready.
 *
 * Works on descriptors only, follows no link and leaves no file system. Refuses directories of
 * others, those that others can enter, and to look where others could change names under our hands:
 * in a directory that anybody can write to and that has no sticky bit. The lock file goes last, so
 * what was begun is finished by the next one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervise/rundirsweep.h"

#define LOCK          "supervisor.lock"
#define PREFIX        "flux-"
#define SUFFIX_LENGTH 6 /* of mkdtemp(3) */
#define QUIET_SECONDS (3 * 86400)
#define QUIET_DEPTH   2 /* NODE/log: where daemons write at their end */
#define DEPTH_MAX     64
#define SWEEP_MAX     16 /* at one start */

static DIR *dir_close(DIR *d)
{
    if (d)
        (void)closedir(d);
    return NULL;
}
DEFINE_CLEANUP(DIR *, dir_close)

int rundir_hold(const char *path, int *ret_fd)
{
    CLEANUP(closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(closep) int fd = -EBADF;

    if (dir < 0)
        return -errno;
    fd = openat(dir, LOCK ".new", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || renameat(dir, LOCK ".new", dir, LOCK) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int open_dir(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Lists what fd is open on; the descriptor stays ours. */
static DIR *list(int fd)
{
    CLEANUP(closep) int copy = open_dir(fd, ".");
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;

    if (d)
        (void)TAKE_FD(copy);
    return d;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* --- may it go? */

static bool is_quiet_since(int fd, time_t limit, int depth)
{
    CLEANUP(dir_closep) DIR *d = list(fd);
    const struct dirent *e;
    bool quiet = d != NULL;

    while (quiet && (e = readdir(d))) {
        CLEANUP(closep) int sub = -EBADF;
        struct stat st;

        if (strcmp(e->d_name, "..") == 0)
            continue;
        quiet = fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < limit;
        if (quiet && depth > 0 && S_ISDIR(st.st_mode) && !is_dots(e->d_name))
            quiet = (sub = open_dir(fd, e->d_name)) >= 0 && is_quiet_since(sub, limit, depth - 1);
    }
    return quiet;
}

/* Whoever held it is dead: we hold it now. -EBADF: not so, or it was never held. */
static int take_lock(int dir)
{
    CLEANUP(closep) int fd = openat(dir, LOCK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -EBADF;
    return TAKE_FD(fd);
}

static bool is_ours(int fd, struct stat *st)
{
    return fstat(fd, st) == 0 && st->st_uid == geteuid() && !(st->st_mode & 077);
}

static bool is_named_so(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
           strlen(name) == strlen(PREFIX) + SUFFIX_LENGTH;
}

/* --- removal */

static void remove_below(int fd, dev_t dev, int depth, const char *but)
{
    CLEANUP(dir_closep) DIR *d = list(fd);
    const struct dirent *e;

    while (d && (e = readdir(d))) {
        CLEANUP(closep) int sub = -EBADF;
        struct stat st;

        if (is_dots(e->d_name) || (but && strcmp(e->d_name, but) == 0))
            continue;
        if (unlinkat(fd, e->d_name, 0) == 0 || (errno != EISDIR && errno != EPERM))
            continue;
        sub = open_dir(fd, e->d_name);
        if (sub < 0 || fstat(sub, &st) < 0 || st.st_dev != dev || depth == 0)
            continue;
        remove_below(sub, dev, depth - 1, NULL);
        (void)unlinkat(fd, e->d_name, AT_REMOVEDIR);
    }
}

static bool sweep_one(int tmp, const char *name)
{
    CLEANUP(closep) int dir = is_named_so(name) ? open_dir(tmp, name) : -EBADF;
    CLEANUP(closep) int lock = -EBADF;
    struct stat st;

    if (dir < 0 || !is_ours(dir, &st) || (lock = take_lock(dir)) < 0 ||
        !is_quiet_since(dir, time(NULL) - QUIET_SECONDS, QUIET_DEPTH))
        return false;
    remove_below(dir, st.st_dev, DEPTH_MAX, LOCK);
    return unlinkat(dir, LOCK, 0) == 0 && unlinkat(tmp, name, AT_REMOVEDIR) == 0;
}

/* Nobody but root and we can rename there what is ours. */
static bool is_safe(int tmp)
{
    struct stat st;

    return fstat(tmp, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) &&
           ((st.st_mode & S_ISVTX) || !(st.st_mode & 022));
}

void rundir_sweep(const char *tmp)
{
    CLEANUP(closep) int fd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_closep) DIR *d = fd >= 0 && is_safe(fd) ? list(fd) : NULL;
    const struct dirent *e;

    for (int n = 0; d && n < SWEEP_MAX && (e = readdir(d));)
        n += sweep_one(fd, e->d_name);
}
