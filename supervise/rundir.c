/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Making and removing the run-time directory. Refuses a directory that belongs to somebody else or
 * that others can enter: sockets in it are a way into the instance. Removal never follows symbolic
 * links nor leaves the file system. */
#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "supervise/rundir.h"
#include "supervise/rundirsweep.h"

#define TMP_PATH_MAX    60 /* longer ones leave no room for the names of sockets */
#define PATH_LENGTH_MAX 88 /* sun_path less the longest of these names, /leader/job-manager */
#define OPEN_DIRS       16

static int check(const char *path, flux_error_t *error)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errorx_fail(error, errno, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return errorx_fail(error, ENOTDIR, "%s is not a directory", path);
    if (st.st_uid != geteuid())
        return errorx_fail(error, EPERM, "%s belongs to another user", path);
    if (st.st_mode & 077)
        return errorx_fail(error, EPERM, "%s can be entered by others: chmod 700 it", path);
    return 0;
}

/* In a job: its directory, which the instance around removes even if we cannot. */
static const char *job_directory(void)
{
    const char *dir = getenv("FLUX_ENCLOSING_ID") ? getenv("FLUX_JOB_TMPDIR") : NULL;

    return dir && access(dir, W_OK | X_OK) == 0 ? dir : NULL;
}

static bool is_usable(const char *dir)
{
    return dir && dir[0] == '/' && strlen(dir) <= TMP_PATH_MAX;
}

static int make_temporary(char **ret, flux_error_t *error)
{
    const char *tmp = job_directory();
    CLEANUP(freep) char *path = NULL;

    if (!is_usable(tmp))
        tmp = getenv("TMPDIR");
    if (!is_usable(tmp))
        tmp = "/tmp";
    if (asprintf(&path, "%s/flux-XXXXXX", tmp) < 0) {
        path = NULL;
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    if (!mkdtemp(path))
        return errorx_fail(error, errno, "cannot create a directory in %s: %s", tmp,
                           strerror(errno));
    rundir_sweep(tmp);
    *ret = TAKE(path);
    return 0;
}

int rundir_make(const char *path, char **ret_path, bool *ret_made, flux_error_t *error)
{
    CLEANUP(freep) char *copy = NULL;
    bool made;
    int rc;

    *ret_made = false;
    if (!path) {
        rc = make_temporary(ret_path, error);
        *ret_made = rc == 0;
        return rc;
    }
    if (path[0] != '/')
        return errorx_fail(error, EINVAL, "%s: the run-time directory must be an absolute path",
                           path);
    if (strlen(path) > PATH_LENGTH_MAX)
        return errorx_fail(error, ENAMETOOLONG,
                           "the run-time directory %.40s... leaves no room for the names of "
                           "sockets: at most %d bytes",
                           path, PATH_LENGTH_MAX);
    made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return errorx_fail(error, errno, "cannot create %s: %s", path, strerror(errno));
    rc = check(path, error);
    if (rc < 0)
        return rc;
    copy = strdup(path);
    if (!copy)
        return errorx_fail(error, ENOMEM, "out of memory");
    while (strlen(copy) > 1 && copy[strlen(copy) - 1] == '/')
        copy[strlen(copy) - 1] = '\0';
    *ret_path = TAKE(copy);
    *ret_made = made;
    return 0;
}

int rundir_sub(const char *rundir, const char *name, char **ret_path, flux_error_t *error)
{
    CLEANUP(freep) char *path = NULL;

    if (asprintf(&path, "%s/%s", rundir, name) < 0) {
        path = NULL;
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errorx_fail(error, errno, "cannot create %s: %s", path, strerror(errno));
    *ret_path = TAKE(path);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

void rundir_remove(const char *path)
{
    (void)nftw(path, remove_one, OPEN_DIRS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
