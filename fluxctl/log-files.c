/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading the log files of an embedded instance. A file that was rotated away is read to its end
 * under its old name first, since SERVICE.log.1 is read too. Lines that are no records are skipped:
 * a daemon may have been killed within a write. */
#include "log-files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"

struct log_source {
    char *path;
    long offset; /* read up to here */
    ino_t inode;
    UT_hash_handle hh;
};

struct reader {
    const char *dir;
    struct log_source *sources;
    struct log_record *records; /* of this pass */
    size_t count, allocated;
};

static int is_log(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return (len > 4 && strcmp(e->d_name + len - 4, ".log") == 0) ||
           (len > 6 && strcmp(e->d_name + len - 6, ".log.1") == 0);
}

static struct log_source *find_source(struct reader *rd, const char *path)
{
    struct log_source *src;

    HASH_FIND_STR(rd->sources, path, src);
    if (src || !(src = calloc(1, sizeof(*src))))
        return src;
    if (!(src->path = strdup(path))) {
        free(src);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, rd->sources, src->path, strlen(src->path), src);
    return src;
}

static int keep(struct reader *rd, const char *line, size_t len)
{
    size_t allocated = rd->allocated ? rd->allocated * 2 : 256;
    struct log_record *records;
    struct log_record r;

    if (log_record_parse(&r, line, len) < 0)
        return 0;
    if (rd->count == rd->allocated) {
        if (!(records = realloc(rd->records, allocated * sizeof(*records)))) {
            log_record_deinit(&r);
            return -ENOMEM;
        }
        rd->records = records;
        rd->allocated = allocated;
    }
    rd->records[rd->count++] = r;
    return 0;
}

/* What was added to a file since the last pass. An incomplete last line is left for the next. */
static int read_source(struct reader *rd, struct log_source *src)
{
    CLEANUP(fclosep) FILE *f = fopen(src->path, "re");
    CLEANUP(freep) char *line = NULL;
    size_t size = 0;
    struct stat st;
    ssize_t len;

    if (!f || fstat(fileno(f), &st) < 0)
        return 0;
    if (src->inode != st.st_ino || st.st_size < src->offset) /* another file now */
        src->offset = 0;
    src->inode = st.st_ino;
    if (fseek(f, src->offset, SEEK_SET) < 0)
        return 0;
    while ((len = getline(&line, &size, f)) > 0 && line[len - 1] == '\n') {
        int rc = keep(rd, line, (size_t)len - 1);

        if (rc < 0)
            return rc;
        src->offset += len;
    }
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct log_record *x = a, *y = b;

    return x->usec < y->usec ? -1 : x->usec > y->usec;
}

static int read_pass(struct reader *rd, log_record_f cb, void *arg)
{
    struct dirent **entries = NULL;
    int n = scandir(rd->dir, &entries, is_log, alphasort);
    int rc = n < 0 ? -errno : 0;

    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        struct log_source *src;

        snprintf(path, sizeof(path), "%s/%s", rd->dir, entries[i]->d_name);
        if (rc == 0 && (src = find_source(rd, path)))
            rc = read_source(rd, src);
        free(entries[i]);
    }
    free(entries);
    if (rd->count > 0)
        qsort(rd->records, rd->count, sizeof(*rd->records), by_time);
    for (size_t i = 0; i < rd->count; i++) {
        if (rc == 0)
            cb(&rd->records[i], arg);
        log_record_deinit(&rd->records[i]);
    }
    rd->count = 0;
    return rc;
}

static int wait_change(int fd)
{
    char buf[4096] __attribute__((aligned(8)));

    return read(fd, buf, sizeof(buf)) < 0 && errno != EINTR ? -errno : 0;
}

static void reader_deinit(struct reader *rd)
{
    struct log_source *src, *next;

    HASH_ITER (hh, rd->sources, src, next) {
        HASH_DEL(rd->sources, src);
        free(src->path);
        free(src);
    }
    free(rd->records);
}

int log_files_read(const char *dir, int follow, log_record_f cb, void *arg)
{
    struct reader rd = { .dir = dir };
    CLEANUP(closep) int fd = -EBADF;
    int rc;

    /* Watch before the first pass, so that nothing falls between. */
    if (follow && ((fd = inotify_init1(IN_CLOEXEC)) < 0 ||
                   inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0))
        return -errno;
    rc = read_pass(&rd, cb, arg);
    if (rc == 0)
        cb(NULL, arg);
    while (rc == 0 && follow && (rc = wait_change(fd)) == 0)
        rc = read_pass(&rd, cb, arg);
    reader_deinit(&rd);
    return rc;
}
