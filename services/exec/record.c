/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records of started shells: text form and files. The directory belongs to the instance owner and
 * is not writable by others; still, what is read back is parsed strictly and a record that cannot
 * be read is an error, never "no such job". Each file is written by one write(2): a reader after a
 * crash sees all of it or an empty file, which is as good as none: its shell was told nothing.
 *
 * A file that is not needed any more becomes the next record: a file system on a disk takes a
 * hundred times as long to make a file as to rename one. A few are kept, named free-N; their text
 * is of the past until they have a job's name again. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "record.h"

#define MAGIC        "flux-exec 1 "
#define STATE_OFFSET (sizeof(MAGIC) - 1)
#define LINE_MAX_    160
#define NAME_SIZE    24
#define FREE_MAX     4

int record_format(const struct record *r, char *buf, size_t size)
{
    const int n =
        snprintf(buf, size, MAGIC "%c %d %" PRIu64 " %" PRIu32 " %s\n", r->informed ? 'i' : 's',
                 (int)r->pid, r->starttime, r->userid, r->boot_id[0] ? r->boot_id : "-");

    return n > 0 && (size_t)n < size ? n : -EOVERFLOW;
}

int record_parse(const char *text, size_t len, struct record *ret)
{
    struct record r = { .informed = false };
    char line[LINE_MAX_], *save, *word[5];
    uint64_t pid;

    if (len < sizeof(MAGIC) || len >= sizeof(line) || memchr(text, '\0', len) ||
        memcmp(text, MAGIC, STATE_OFFSET) != 0 || text[len - 1] != '\n')
        return -EPROTO;
    memcpy(line, text, len - 1);
    line[len - 1] = '\0';
    for (int i = 0; i < 5; i++) {
        word[i] = strtok_r(i == 0 ? line + STATE_OFFSET : NULL, " ", &save);
        if (!word[i])
            return -EPROTO;
    }
    if (strtok_r(NULL, " ", &save) || strlen(word[0]) != 1 || !strchr("si", word[0][0]) ||
        number_parse_u64(word[1], INT32_MAX, &pid) < 0 || pid < 2 ||
        number_parse_u64(word[2], UINT64_MAX, &r.starttime) < 0 ||
        number_parse_u32(word[3], &r.userid) < 0 || strlen(word[4]) >= sizeof(r.boot_id))
        return -EPROTO;
    r.informed = word[0][0] == 'i';
    r.pid = (pid_t)pid;
    memcpy(r.boot_id, word[4], strlen(word[4]) + 1);
    *ret = r;
    return 0;
}

static void record_name(flux_jobid_t id, char buf[NAME_SIZE])
{
    (void)snprintf(buf, NAME_SIZE, "%" PRIu64, id);
}

static void free_name(int i, char buf[NAME_SIZE])
{
    (void)snprintf(buf, NAME_SIZE, "free-%d", i);
}

/* Makes a free file the record. 0, -EEXIST: there is a record, -ENOENT: there is no free file, or
 * none that can be used. */
static int write_free(int dirfd, int i, const char *name, const char *line, int len)
{
    CLEANUP(closep) int fd = -EBADF;
    char old[NAME_SIZE];

    free_name(i, old);
    fd = openat(dirfd, old, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd >= 0 && pwrite(fd, line, len, 0) == len && ftruncate(fd, len) == 0) {
        if (renameat2(dirfd, old, dirfd, name, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno == EEXIST)
            return -EEXIST;
    }
    (void)unlinkat(dirfd, old, 0);
    return -ENOENT;
}

int record_write(int dirfd, flux_jobid_t id, const struct record *r)
{
    CLEANUP(closep) int fd = -EBADF;
    char name[NAME_SIZE], line[LINE_MAX_];
    const int len = record_format(r, line, sizeof(line));

    if (len < 0)
        return len;
    record_name(id, name);
    for (int i = 0; i < FREE_MAX; i++) {
        const int rc = write_free(dirfd, i, name, line, len);

        if (rc != -ENOENT)
            return rc;
    }
    fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (write(fd, line, len) != len) {
        const int rc = errno ? -errno : -EIO;

        (void)unlinkat(dirfd, name, 0);
        return rc;
    }
    return 0;
}

int record_read(int dirfd, flux_jobid_t id, struct record *ret)
{
    CLEANUP(closep) int fd = -EBADF;
    char name[NAME_SIZE], line[LINE_MAX_];
    ssize_t n;

    record_name(id, name);
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    n = read(fd, line, sizeof(line));
    if (n == 0) /* flux-exec died between creating and writing it */
        return -ENOENT;
    return n < 0 ? -errno : record_parse(line, (size_t)n, ret);
}

int record_set_informed(int dirfd, flux_jobid_t id)
{
    CLEANUP(closep) int fd = -EBADF;
    char name[NAME_SIZE];

    record_name(id, name);
    fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    return pwrite(fd, "i", 1, STATE_OFFSET) == 1 ? 0 : -errno;
}

/* Whether it is kept for another record. */
static bool keep_free(int dirfd, const char *name)
{
    char new[NAME_SIZE];
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return false;
    for (int i = 0; i < FREE_MAX; i++) {
        free_name(i, new);
        if (renameat2(dirfd, name, dirfd, new, RENAME_NOREPLACE) == 0)
            return true;
        if (errno != EEXIST)
            break;
    }
    return false;
}

int record_remove(int dirfd, flux_jobid_t id)
{
    char name[NAME_SIZE];

    record_name(id, name);
    if (keep_free(dirfd, name))
        return 0;
    return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

void record_drop_free(int dirfd)
{
    char name[NAME_SIZE];

    for (int i = 0; i < FREE_MAX; i++) {
        free_name(i, name);
        (void)unlinkat(dirfd, name, 0);
    }
}

int record_each(int dirfd, void (*cb)(flux_jobid_t id, void *arg), void *arg)
{
    CLEANUP(closep) int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    uint64_t id;

    if (!d)
        return -errno;
    TAKE_FD(fd);
    while ((e = readdir(d)))
        if (number_parse_u64(e->d_name, UINT64_MAX, &id) == 0 && id > 0)
            cb(id, arg);
    (void)closedir(d);
    return 0;
}
