/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* JSON lines for instances without a journal. A disk that is full loses records and nothing else,
 * and the first that is written again begins on a line of its own; a rotation that fails keeps
 * appending. Invariant: size_bytes follows what this process knows of the file; another writer only
 * makes the rotation late. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "service/log-file.h"

static int file_open(struct log_file *f)
{
    const int fd = open(f->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    char last;

    if (fd < 0)
        return -errno;
    f->size_bytes = fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
    f->cut = f->size_bytes > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
    return fd;
}

int log_file_open(struct log_file *f, const char *dir, const char *service)
{
    const int n = snprintf(f->path, sizeof(f->path), "%s/%s.log", dir, service);

    f->fd = -EBADF;
    if (n < 0 || (size_t)n >= sizeof(f->path))
        return -ENAMETOOLONG;
    (void)mkdir(dir, 0700);
    f->fd = file_open(f);
    return f->fd < 0 ? f->fd : 0;
}

void log_file_close(struct log_file *f)
{
    closep(&f->fd);
    f->fd = -EBADF;
}

static void rotate(struct log_file *f)
{
    CLEANUP(freep) char *old = NULL;
    int fd;

    f->size_bytes = 0; /* whatever happens, do not try again at every record */
    if (asprintf(&old, "%s.1", f->path) < 0) {
        old = NULL;
        return;
    }
    if (rename(f->path, old) < 0 || (fd = file_open(f)) < 0)
        return;
    log_file_close(f);
    f->fd = fd;
}

static json_t *string_of(const char *s, size_t len)
{
    json_t *o = json_stringn(s, len);

    if (!o) { /* not UTF-8 */
        CLEANUP(freep) char *copy = strndup(s, len);

        for (char *p = copy; p && *p; p++)
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        o = copy ? json_string(copy) : NULL;
    }
    return o;
}

/* What a full disk cut off ends there: the next record begins on a line of its own. */
static void write_line(struct log_file *f, const char *line, size_t size)
{
    ssize_t n;

    if (f->cut && write(f->fd, "\n", 1) != 1)
        return;
    f->cut = false;
    n = write(f->fd, line, size);
    if (n > 0) {
        f->size_bytes += (size_t)n;
        f->cut = (size_t)n < size;
    }
}

void log_file_write(struct log_file *f, const char *const fields[], size_t nfields)
{
    CLEANUP(json_decrefp) json_t *o = json_object();
    CLEANUP(freep) char *line = NULL;
    char stamp[32];
    size_t len;

    (void)snprintf(stamp, sizeof(stamp), "%.0f", walltime() * 1e6);
    (void)json_object_set_new(o, "__REALTIME_TIMESTAMP", json_string(stamp));
    for (size_t i = 0; i < nfields; i++) {
        const char *eq = strchr(fields[i], '=');
        char name[64];

        if (!eq || (size_t)(eq - fields[i]) >= sizeof(name))
            continue;
        memcpy(name, fields[i], eq - fields[i]);
        name[eq - fields[i]] = '\0';
        (void)json_object_set_new(o, name, string_of(eq + 1, strlen(eq + 1)));
    }
    line = json_dumps(o, JSON_COMPACT);
    if (!line)
        return;
    len = strlen(line);
    line[len] = '\n'; /* in place of the NUL: one write is one line */
    if (f->size_bytes + len + 1 > LOG_FILE_MAX)
        rotate(f);
    write_line(f, line, len + 1);
}
