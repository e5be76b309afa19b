/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Removal never follows symbolic links nor leaves the file system. */
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fluid.h"
#include "tmpdir.h"

#define PREFIX    "jobtmp-"
#define OPEN_DIRS 16

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

/* jobtmp-0-f3xyZh is of job f3xyZh. */
static bool is_of_job(const char *name, const char *id)
{
    const char *p = name + strlen(PREFIX);

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    p += strspn(p, "0123456789");
    return *p == '-' && strcmp(p + 1, id) == 0;
}

void tmpdir_remove(const char *rundir, flux_jobid_t id)
{
    char text[32];
    struct dirent *e;
    DIR *dir;

    if (fluid_encode(text, sizeof(text), id, FLUID_F58_PLAIN) < 0 || !(dir = opendir(rundir)))
        return;
    while ((e = readdir(dir))) {
        CLEANUP(freep) char *path = NULL;

        if (!is_of_job(e->d_name, text))
            continue;
        if (asprintf(&path, "%s/%s", rundir, e->d_name) < 0)
            path = NULL;
        if (path)
            (void)nftw(path, remove_entry, OPEN_DIRS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    }
    (void)closedir(dir);
}
