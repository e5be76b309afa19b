/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Output files. Opened as the job's user, by the shell, in append mode, so that further jobs that
 * append to the same file do not overwrite each other. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/fdwrite.h"
#include "base/list.h"
#include "output.h"

struct outfile {
    TAILQ_ENTRY(outfile) link;
    int fd;
    char *path;
};

struct outfiles {
    TAILQ_HEAD(, outfile) list;
};

struct outfiles *outfiles_new(void)
{
    struct outfiles *files = calloc(1, sizeof(*files));

    if (files)
        TAILQ_INIT(&files->list);
    return files;
}

struct outfiles *outfiles_free(struct outfiles *files)
{
    struct outfile *file, *next;

    if (files) {
        TAILQ_FOREACH_SAFE (file, &files->list, link, next) {
            closep(&file->fd);
            free(file->path);
            free(file);
        }
        free(files);
    }
    return NULL;
}

int outfiles_open(struct outfiles *files, const char *path, bool append, struct outfile **ret,
                  bool *ret_first, flux_error_t *error)
{
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (append ? 0 : O_TRUNC);
    struct outfile *file;

    *ret_first = false;
    TAILQ_FOREACH (file, &files->list, link)
        if (strcmp(file->path, path) == 0) {
            *ret = file;
            return 0;
        }
    file = calloc(1, sizeof(*file));
    if (!file || !(file->path = strdup(path))) {
        free(file);
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    file->fd = open(path, flags, 0666);
    if (file->fd < 0) {
        const int errnum = errno;

        free(file->path);
        free(file);
        return errorx_fail(error, errnum, "cannot open the output file %s: %s", path,
                           strerror(errnum));
    }
    TAILQ_INSERT_TAIL(&files->list, file, link);
    *ret_first = true;
    *ret = file;
    return 0;
}

int outfile_write(struct outfile *file, const char *data, size_t size)
{
    return fd_write_all(file->fd, data, size);
}

char *outfile_label(const char *data, size_t size, int label, bool *at_line_start, size_t *ret_size)
{
    size_t used = 0, lines = 1;
    char prefix[16], *text;
    const int prefix_len = snprintf(prefix, sizeof(prefix), "%d: ", label);

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    text = malloc(size + lines * (size_t)prefix_len);
    for (size_t i = 0; text && i < size; i++) {
        if (*at_line_start) {
            memcpy(text + used, prefix, (size_t)prefix_len);
            used += (size_t)prefix_len;
        }
        text[used++] = data[i];
        *at_line_start = data[i] == '\n';
    }
    *ret_size = used;
    return text;
}
