/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* FLUX_JOB_TMPDIR: a directory for the job on this node, removed at its end with all that is in it.
 * It lies beside the instance's socket if we may write there, else in $TMPDIR or /tmp, and is
 * created anew (0700); one that exists already is taken only if it is ours and nobody else's. */
#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "base/errorx.h"
#include "base/fluid.h"
#include "plugins.h"

static char *parent_dir(void)
{
    const char *uri = getenv("FLUX_URI");
    const char *tmp = getenv("TMPDIR");

    if (uri && strncmp(uri, "local://", 8) == 0 && strrchr(uri + 8, '/')) {
        char *dir = strndup(uri + 8, (size_t)(strrchr(uri + 8, '/') - (uri + 8)));

        if (dir && dir[0] == '/' && access(dir, W_OK | X_OK) == 0)
            return dir;
        free(dir);
    }
    return strdup(tmp && tmp[0] == '/' ? tmp : "/tmp");
}

static int make(const char *path)
{
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (lstat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0 ? 0 : -EEXIST;
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    CLEANUP(freep) char *parent = parent_dir();
    CLEANUP(freep) char *path = NULL;
    char id[32];
    int rc;

    if (!parent || fluid_encode(id, sizeof(id), shell->info.id, FLUID_F58_PLAIN) < 0 ||
        asprintf(&path, "%s/jobtmp-%d-%s", parent, shell->info.shell_rank, id) < 0)
        return errorx_fail(error, ENOMEM, "out of memory");
    rc = make(path);
    if (rc < 0)
        shell_log(shell, LOG_WARNING, "no FLUX_JOB_TMPDIR: cannot create %s: %s", path,
                  strerror(-rc));
    else
        shell->tmpdir = TAKE(path);
    return 0;
}

static int on_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

/* Removing it takes the disk a while, and so does keeping the last events: both at once. */
static void remove_tmpdir(struct shell *shell)
{
    if (shell->tmpdir && rmdir(shell->tmpdir) < 0)
        (void)nftw(shell->tmpdir, on_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    free(shell->tmpdir);
    shell->tmpdir = NULL;
}

const struct shell_plugin plugin_tmpdir = {
    .name = "tmpdir",
    .shell_init = on_shell_init,
    .shell_leave = remove_tmpdir,
    .shell_exit = remove_tmpdir, /* where it did not come to that */
};
