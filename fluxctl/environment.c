/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Search paths of sub-commands. A path that begins or ends with what is put there already is left
 * alone, so that flux within flux does not lengthen it. Empty words of a path are skipped: they
 * would mean the current directory. */
#include "environment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config.h"

static const struct search_path {
    const char *name;
    const char *prepend;
    const char *installed; /* may be empty */
    char separator;
} paths[] = {
    { "FLUX_EXEC_PATH", "FLUX_EXEC_PATH_PREPEND", FLUX_LIBEXECDIR "/cmd", ':' },
    { "FLUX_MODULE_PATH", "FLUX_MODULE_PATH_PREPEND", FLUX_MODULEDIR, ':' },
    { "FLUX_CONNECTOR_PATH", "FLUX_CONNECTOR_PATH_PREPEND", FLUX_CONNECTORDIR, ':' },
    { "LUA_PATH", "FLUX_LUA_PATH_PREPEND", "", ';' },
    { "LUA_CPATH", "FLUX_LUA_CPATH_PREPEND", "", ';' },
    { "PYTHONPATH", "FLUX_PYTHONPATH_PREPEND", "", ':' },
};

/* Is the word (or list of words) among those of the path? */
static bool has_words(const char *path, const char *words, char separator)
{
    size_t len = strlen(words);

    while (path && *path) {
        const char *next = strchr(path, separator);

        if (strncmp(path, words, len) == 0 && (!path[len] || path[len] == separator))
            return true;
        path = next ? next + 1 : NULL;
    }
    return false;
}

static void add(FILE *f, const char *words, char separator, bool *empty)
{
    if (!words[0])
        return;
    if (!*empty)
        fputc(separator, f);
    fputs(words, f);
    *empty = false;
}

static char *build(const struct search_path *p)
{
    const char *prepend = getenv(p->prepend), *current = getenv(p->name);
    CLEANUP(freep) char *text = NULL;
    bool empty = true;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    if (prepend && !has_words(current, prepend, p->separator))
        add(f, prepend, p->separator, &empty);
    if (p->installed[0] && !has_words(current, p->installed, p->separator))
        add(f, p->installed, p->separator, &empty);
    if (current)
        add(f, current, p->separator, &empty);
    return fclose(f) == 0 ? TAKE(text) : NULL;
}

static int set_sec_directory(void)
{
    const char *home = getenv("HOME");
    CLEANUP(freep) char *dir = NULL;

    if (getenv("FLUX_SEC_DIRECTORY") || !home)
        return 0;
    if (asprintf(&dir, "%s/flux", home) < 0)
        return -ENOMEM;
    return setenv("FLUX_SEC_DIRECTORY", dir, 1) < 0 ? -errno : 0;
}

int environment_set(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        CLEANUP(freep) char *value = build(&paths[i]);

        if (!value)
            return -ENOMEM;
        if (value[0] && setenv(paths[i].name, value, 1) < 0)
            return -errno;
    }
    return set_sec_directory();
}

static void print_variable(const char *name, FILE *f)
{
    const char *value = getenv(name);

    if (value)
        fprintf(f, "%s=%s\n", name, value);
}

void environment_print(FILE *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        print_variable(paths[i].name, f);
    print_variable("FLUX_SEC_DIRECTORY", f);
    print_variable("FLUX_URI", f);
    print_variable("FLUX_KVS_NAMESPACE", f);
}

/* Returns if the file cannot be run. */
static int try_program(const char *path, char **argv, FILE *f)
{
    if (f)
        fprintf(f, "trying %s\n", path);
    (void)execv(path, argv);
    return -errno;
}

int environment_exec(char **argv, FILE *f)
{
    const char *path = getenv("FLUX_EXEC_PATH");
    int rc = -ENOENT;

    if (strchr(argv[0], '/'))
        return try_program(argv[0], argv, f);
    while (path && *path) {
        size_t len = strcspn(path, ":");
        CLEANUP(freep) char *program = NULL;
        int this_rc;

        if (len > 0) {
            if (asprintf(&program, "%.*s/flux-%s", (int)len, path, argv[0]) < 0)
                return -ENOMEM;
            this_rc = try_program(program, argv, f);
            if (this_rc != -ENOENT && this_rc != -ENOTDIR && rc == -ENOENT)
                rc = this_rc; /* there is one, and it cannot be run: said unless another can */
        }
        path += len + (path[len] == ':');
    }
    return rc;
}
