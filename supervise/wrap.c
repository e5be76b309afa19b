/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The wrapper may execute the daemon in its own process, as valgrind does, or in one below it, as
 * strace does. FLUX_WRAPPED tells the daemon that the descriptors are for it in either case. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/number.h"
#include "supervise/spawn.h"
#include "supervise/wrap.h"

#define LEVELS_MAX 4

/* malloc'd; NULL: not found. */
static char *find_program(const char *name)
{
    const char *dir = getenv("PATH");
    char *path;

    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? strdup(name) : NULL;
    for (size_t len; dir && *dir; dir += len + (dir[len] == ':')) {
        len = strcspn(dir, ":");
        if (asprintf(&path, "%.*s/%s", (int)len, dir, name) < 0)
            return NULL;
        if (len > 0 && access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

int wrap_unit(struct service_unit *u, char *const *words, const char *exec_path,
              flux_error_t *error)
{
    CLEANUP(strv_freep) char **argv = NULL;
    char *program = find_program(words[0]);
    int rc;

    if (!program)
        return errorx_fail(error, ENOENT, "--wrap=%s: there is no such program", words[0]);
    rc = strv_take(&argv, program);
    for (size_t i = 1; words[i] && rc == 0; i++)
        rc = strv_append(&argv, words[i]);
    if (rc == 0)
        rc = strv_take(&argv, spawn_resolve(exec_path, u->argv[0]));
    for (size_t i = 1; u->argv[i] && rc == 0; i++)
        rc = strv_append(&argv, u->argv[i]);
    if (rc == 0)
        rc = strv_append(&u->environment, "FLUX_WRAPPED=1");
    if (rc < 0)
        return errorx_fail(error, -rc, "%s", strerror(-rc));
    u->argv = strv_free(u->argv);
    u->argv = TAKE(argv);
    u->watchdog_usec = 0;
    u->start_usec = UINT64_MAX;
    return 0;
}

static pid_t parent_of(pid_t pid)
{
    char path[32], text[512];
    const char *p;
    int parent = -1;
    size_t n;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return -1;
    n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    p = strrchr(text, ')');
    return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

bool wrap_is_below(pid_t pid, pid_t ancestor)
{
    for (int i = 0; i < LEVELS_MAX && pid > 1; i++) {
        pid = parent_of(pid);
        if (pid == ancestor)
            return true;
    }
    return false;
}
