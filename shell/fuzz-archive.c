/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files of a jobspec (RFC 37): nothing is made outside of the directory, whatever the paths and
 * links are, and a refusal has a sentence. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/jsonx.h"
#include "shell/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static size_t count(const char *path)
{
    DIR *d = opendir(path);
    size_t n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_decrefp)
    json_t *files = jsonx_decode_object((const char *)data, size, NULL);
    char top[] = "/tmp/flux-fuzz-XXXXXX", dir[64];
    flux_error_t error = { .text = "" };
    int fd;

    if (!files)
        return 0;
    if (!mkdtemp(top))
        abort();
    (void)snprintf(dir, sizeof(dir), "%s/dir", top);
    if (mkdir(dir, 0700) < 0 || (fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        abort();
    if (archive_extract(fd, files, &error) < 0 && !error.text[0])
        abort();
    if (count(top) != 3) /* . .. dir */
        abort();
    (void)close(fd);
    (void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
