/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files of the jobspec go to FLUX_JOB_TMPDIR of each node before there are tasks: the script of a
 * batch job, its configuration, what --add-file names.
 *
 * The archive comes from a user. A path is followed name by name without symbolic links, so nothing
 * is written elsewhere, not even through a link of the archive itself. Content by reference
 * (blobvec) is refused: a shell has no access to the content store. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/fdwrite.h"
#include "plugins.h"

#define LENGTH_MAX ((json_int_t)1 << 40)
#define DEPTH_MAX  32

void archive_entry_deinit(struct archive_entry *e)
{
    free(e->data);
    e->data = NULL;
}

static int refuse(flux_error_t *error, const char *path, const char *why)
{
    return errorx_fail(error, EINVAL, "files: '%.80s': %s", path, why);
}

static int copy_text(struct archive_entry *e, const json_t *text)
{
    e->size = json_string_length(text);
    e->data = malloc(e->size + 1);
    if (!e->data)
        return -ENOMEM;
    memcpy(e->data, json_string_value(text), e->size + 1);
    return 0;
}

static int decode_base64(struct archive_entry *e, const json_t *text)
{
    e->data = base64_decode(json_string_value(text), json_string_length(text), &e->size);
    return e->data ? 0 : -errno;
}

static int parse_link(const char *path, const json_t *data, struct archive_entry *e,
                      flux_error_t *error)
{
    if (!json_is_string(data) || json_string_length(data) == 0)
        return refuse(error, path, "a symbolic link needs the path it leads to as data");
    return copy_text(e, data);
}

static int parse_data(const char *path, const json_t *data, const char *encoding,
                      struct archive_entry *e, flux_error_t *error)
{
    if (!data)
        return 0;
    if (!encoding) {
        e->data = json_dumps(data, JSON_ENCODE_ANY | JSON_COMPACT);
        e->size = e->data ? strlen(e->data) : 0;
        return e->data ? 0 : -ENOMEM;
    }
    if (strcmp(encoding, "utf-8") == 0 && json_is_string(data))
        return copy_text(e, data);
    if (strcmp(encoding, "base64") == 0 && json_is_string(data))
        return decode_base64(e, data) < 0 ? refuse(error, path, "its data is not base64") : 0;
    return refuse(error, path, "its data must be utf-8, base64 or JSON");
}

static int parse_file(const char *path, const json_t *o, struct archive_entry *e,
                      flux_error_t *error)
{
    const json_t *size = json_object_get(o, "size");
    const json_t *encoding = json_object_get(o, "encoding");
    int rc;

    if (encoding && !json_is_string(encoding))
        return refuse(error, path, "encoding must be a string");
    if (size && (!json_is_integer(size) || json_integer_value(size) < 0 ||
                 json_integer_value(size) > LENGTH_MAX))
        return refuse(error, path, "size must be a number of bytes");
    rc = parse_data(path, json_object_get(o, "data"), json_string_value(encoding), e, error);
    if (rc < 0)
        return rc;
    e->length = size && !(e->data && !encoding) ? json_integer_value(size) : (off_t)e->size;
    return (off_t)e->size <= e->length ? 0 : refuse(error, path, "it has more data than size says");
}

int archive_entry_parse(const char *path, const json_t *o, struct archive_entry *ret,
                        flux_error_t *error)
{
    const json_t *mode = json_object_get(o, "mode");
    struct archive_entry e = { .data = NULL };
    int rc = 0;

    if (!json_is_integer(mode) || json_integer_value(mode) < 0 ||
        json_integer_value(mode) > (S_IFMT | 07777))
        return refuse(error, path, "mode must be a number that says type and permissions");
    e.mode = (mode_t)json_integer_value(mode);
    if (S_ISREG(e.mode))
        rc = parse_file(path, o, &e, error);
    else if (S_ISLNK(e.mode))
        rc = parse_link(path, json_object_get(o, "data"), &e, error);
    else if (!S_ISDIR(e.mode))
        rc = refuse(error, path, "only files, directories and symbolic links can be made");
    if (rc < 0) {
        archive_entry_deinit(&e);
        return rc == -ENOMEM ? errorx_fail(error, ENOMEM, "out of memory") : rc;
    }
    *ret = e;
    return 0;
}

/* --- making them */

static int make_file(int dirfd, const char *name, const struct archive_entry *e)
{
    CLEANUP(closep)
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return -errno;
    rc = fd_write_all(fd, e->data, e->size);
    if (rc == 0 && e->length > (off_t)e->size && ftruncate(fd, e->length) < 0)
        rc = -errno;
    if (rc == 0 && fchmod(fd, (e->mode & 0777) | S_IRUSR) < 0)
        rc = -errno;
    return rc;
}

static int make(int dirfd, const char *name, const struct archive_entry *e)
{
    if (S_ISREG(e->mode))
        return make_file(dirfd, name, e);
    if (S_ISLNK(e->mode))
        return symlinkat(e->data, dirfd, name) < 0 ? -errno : 0;
    return mkdirat(dirfd, name, (e->mode & 0777) | S_IRWXU) < 0 && errno != EEXIST ? -errno : 0;
}

/* The next directory of a path, made if it is not there. Takes dirfd. */
static int enter(int dirfd, const char *name)
{
    CLEANUP(closep) int from = dirfd;
    int fd;

    if (mkdirat(from, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static bool is_name(const char *s)
{
    return s[0] && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static int extract(int dirfd, const char *path, const json_t *o, flux_error_t *error)
{
    CLEANUP(archive_entry_deinit) struct archive_entry e = { .data = NULL };
    CLEANUP(freep) char *copy = strdup(path);
    int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
    char *rest = copy, *name;
    int depth = 0, rc;

    if (!copy || fd < 0) {
        closep(&fd);
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    rc = archive_entry_parse(path, o, &e, error);
    while (rc == 0 && (name = strsep(&rest, "/"))) {
        if (!is_name(name) || ++depth > DEPTH_MAX)
            rc = refuse(error, path, "not a path below the job's directory");
        else if (!rest && (rc = make(fd, name, &e)) < 0)
            errorx_set(error, "files: cannot make '%.80s': %s", path, strerror(-rc));
        else if (rest && (fd = rc = enter(fd, name)) < 0)
            errorx_set(error, "files: cannot make '%.80s': %s", path, strerror(-rc));
        else
            rc = 0;
    }
    closep(&fd);
    return rc;
}

int archive_extract(int dirfd, const json_t *files, flux_error_t *error)
{
    const char *path;
    json_t *o;
    int rc = 0;

    json_object_foreach ((json_t *)files, path, o) {
        rc = extract(dirfd, path, o, error);
        if (rc < 0)
            break;
    }
    return rc;
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    const json_t *files = shell->info.jobspec.files;
    CLEANUP(closep) int fd = -EBADF;

    if (json_object_size(files) == 0)
        return 0;
    if (!shell->tmpdir)
        return errorx_fail(error, ENOENT, "there is no directory for the job's files");
    fd = open(shell->tmpdir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errorx_fail(error, errno, "%s: %s", shell->tmpdir, strerror(errno));
    return archive_extract(fd, files, error);
}

const struct shell_plugin plugin_archive = {
    .name = "archive",
    .shell_init = on_shell_init,
};
