/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Finding the parts of an instance. A fluxctl that lies in DIR/fluxctl beside DIR/supervise and
 * DIR/services is that of a build tree and uses what was built with it. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "start.h"

static int format(char **ret, const char *dir, const char *rest)
{
    if (asprintf(ret, "%s/%s", dir, rest) < 0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

/* The build tree, or NULL. */
static char *find_build_tree(void)
{
    CLEANUP(freep) char *supervise = NULL;
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *slash;

    if (n <= 0)
        return NULL;
    exe[n] = '\0';
    slash = strrchr(exe, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    slash = strrchr(exe, '/');
    if (!slash || strcmp(slash, "/fluxctl") != 0)
        return NULL;
    *slash = '\0';
    if (format(&supervise, exe, "supervise/flux-supervise") < 0 || access(supervise, X_OK) < 0)
        return NULL;
    return strdup(exe);
}

/* All directories of services/, joined by colons. */
static int find_exec_path(const char *build, char **ret)
{
    CLEANUP(freep) char *services = NULL;
    struct dirent **list;
    size_t size;
    FILE *f;
    int n;

    if (format(&services, build, "services") < 0)
        return -ENOMEM;
    n = scandir(services, &list, NULL, alphasort);
    f = open_memstream(ret, &size);
    for (int i = 0; i < n; i++) {
        if (f && list[i]->d_name[0] != '.')
            fprintf(f, "%s%s/%s", ftell(f) > 0 ? ":" : "", services, list[i]->d_name);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return f && fclose(f) == 0 ? 0 : -ENOMEM;
}

int start_layout_find(struct start_layout *ret)
{
    CLEANUP(freep) char *build = find_build_tree();
    int rc;

    if (!build) {
        ret->supervise = strdup(FLUX_LIBEXECDIR "/flux-supervise");
        ret->units = strdup(FLUX_UNITDIR);
        return ret->supervise && ret->units ? 0 : -ENOMEM;
    }
    if ((rc = format(&ret->supervise, build, "supervise/flux-supervise")) < 0 ||
        (rc = format(&ret->units, build, "units")) < 0 ||
        (rc = format(&ret->shell, build, "shell/flux-shell")) < 0)
        return rc;
    return find_exec_path(build, &ret->exec_path);
}

void start_layout_deinit(struct start_layout *l)
{
    free(l->supervise);
    free(l->units);
    free(l->exec_path);
    free(l->shell);
    *l = (struct start_layout){ .supervise = NULL };
}

char *start_layout_program(const struct start_layout *l, const char *name)
{
    char *path;

    for (const char *dir = l->exec_path; dir && *dir;) {
        size_t len = strcspn(dir, ":");

        if (asprintf(&path, "%.*s/%s", (int)len, dir, name) < 0)
            return NULL;
        if (access(path, X_OK) == 0)
            return path;
        free(path);
        dir += len;
        dir += *dir == ':';
    }
    return format(&path, FLUX_LIBEXECDIR, name) < 0 ? NULL : path;
}

void start_options_deinit(struct start_options *o)
{
    start_layout_deinit(&o->layout);
    free(o->rundir);
    free(o->statedir);
    free(o->confdir);
    (void)strv_free(o->broker_args);
}
