/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A module's file. Its name is the value of its symbol mod_name, else that of the file up to the
 * first period. Refuses files without mod_main and names that no service may have. */
#include "module/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

static int fail(flux_error_t *error, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(flux_error_t *error, int errnum, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(error->text, sizeof(error->text), fmt, ap);
    va_end(ap);
    return -errnum;
}

bool module_name_ok(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= MODULE_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

/* DIR/NAME.so in the first directory that has it. */
static int search_path(const char *name, const char *search, char **ret, flux_error_t *error)
{
    for (const char *dir = search; *dir;) {
        size_t len = strcspn(dir, ":");
        char *path;

        if (len > 0) {
            if (asprintf(&path, "%.*s/%s.so", (int)len, dir, name) < 0)
                return fail(error, ENOMEM, "out of memory");
            if (access(path, R_OK) == 0) {
                *ret = path;
                return 0;
            }
            free(path);
        }
        dir += len;
        dir += *dir == ':';
    }
    return fail(error, ENOENT, "there is no %s.so in %s", name, search);
}

static int find_name(struct module *m, flux_error_t *error)
{
    const char *const *symbol = dlsym(m->handle, "mod_name");
    const char *base = strrchr(m->path, '/') + 1;

    if (symbol && *symbol)
        (void)snprintf(m->name, sizeof(m->name), "%s", *symbol);
    else
        (void)snprintf(m->name, sizeof(m->name), "%.*s", (int)strcspn(base, "."), base);
    if (!module_name_ok(m->name) || (symbol && *symbol && strlen(*symbol) > MODULE_NAME_MAX))
        return fail(error, EINVAL,
                    "%s: '%s' cannot be the name of a service: letters, digits, - and _ can",
                    m->path, m->name);
    return 0;
}

static int open_file(struct module *m, const char *what, const char *search, flux_error_t *error)
{
    void *symbol;
    int rc;

    if (strchr(what, '/')) {
        if (!(m->path = realpath(what, NULL)))
            return fail(error, errno, "%s: %s", what, strerror(errno));
    } else if (!module_name_ok(what)) {
        return fail(error, EINVAL, "'%s' is not the name of a module", what);
    } else if ((rc = search_path(what, search, &m->path, error)) < 0) {
        return rc;
    }
    if (!(m->handle = dlopen(m->path, RTLD_NOW | RTLD_LOCAL)))
        return fail(error, ENOEXEC, "%s", dlerror());
    if (!(symbol = dlsym(m->handle, "mod_main")))
        return fail(error, ENOEXEC, "%s has no mod_main: it is not a module", m->path);
    memcpy(&m->main, &symbol, sizeof(symbol));
    return find_name(m, error);
}

int module_open(const char *what, const char *search, struct module *ret, flux_error_t *error)
{
    struct module m = { .path = NULL };
    int rc = open_file(&m, what, search, error);

    if (rc < 0)
        module_close(&m);
    else
        *ret = m;
    return rc;
}

void module_close(struct module *m)
{
    if (m->handle)
        (void)dlclose(m->handle);
    free(m->path);
    *m = (struct module){ .path = NULL };
}

json_t *module_describe(const struct module *m)
{
    struct stat st = { .st_size = 0 };

    (void)stat(m->path, &st);
    return json_pack("{s:s s:s s:I}", "name", m->name, "path", m->path, "size",
                     (json_int_t)st.st_size);
}
