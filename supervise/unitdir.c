/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A directory of units. Of the files in it, flux-*.socket and flux-*.service are read, and the
 * template of modules; other template units (with an @) and sockets that activate one are left to
 * the real systemd. flux.target says
 * which services start without being asked. Several socket units may belong to one service; a
 * socket without its service is an error. */
#include <dirent.h>
#include <string.h>

#include "base/errorx.h"
#include "supervise/unit.h"

#define TEMPLATE "flux-module@"

static bool has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);

    return n > k && strcmp(s + n - k, suffix) == 0;
}

static int is_ours(const struct dirent *e)
{
    return strncmp(e->d_name, "flux-", 5) == 0 && !strchr(e->d_name, '@') &&
           (has_suffix(e->d_name, ".socket") || has_suffix(e->d_name, ".service"));
}

/* Put the file's name in front of what was said about it. */
static int name_file(int rc, const char *path, const flux_error_t *why, flux_error_t *error)
{
    if (rc == -ENOMEM)
        errorx_set(error, "%s: out of memory", path);
    else if (rc < 0)
        errorx_set(error, "%s: %s", path, why->text);
    return rc;
}

static int add_unit(struct units *u, const char *name, const struct unitfile *uf,
                    const struct unit_paths *paths, flux_error_t *error)
{
    CLEANUP(freep) char *base = strndup(name, strrchr(name, '.') - name);
    struct socket_unit *sock;
    struct service_unit *svc;
    const char *activates = unitfile_get(uf, "Socket", "Service");
    int rc;

    if (!base)
        return -ENOMEM;
    if (has_suffix(name, ".service")) {
        rc = service_unit_parse(base, uf, paths, &svc, error);
        if (rc == 0)
            TAILQ_INSERT_TAIL(&u->services, svc, entry);
        return rc;
    }
    if (unitfile_get(uf, "Socket", "Accept") || (activates && strchr(activates, '@')))
        return 0;
    rc = socket_unit_parse(base, uf, paths, &sock, error);
    if (rc == 0)
        TAILQ_INSERT_TAIL(&u->sockets, sock, entry);
    return rc;
}

static int load_file(struct units *u, const char *dir, const char *name,
                     const struct unit_paths *paths, flux_error_t *error)
{
    CLEANUP(unitfile_freep) struct unitfile *uf = NULL;
    CLEANUP(freep) char *path = NULL;
    flux_error_t why = { "" };
    int rc;

    if (asprintf(&path, "%s/%s", dir, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    rc = unitfile_read(path, &uf, &why);
    if (rc == 0)
        rc = add_unit(u, name, uf, paths, &why);
    return name_file(rc, path, &why, error);
}

static void want_words(struct units *u, const char *value)
{
    CLEANUP(strv_freep) char **words = NULL;

    if (unitfile_split(value, &words) < 0)
        return;
    for (size_t i = 0; words[i]; i++) {
        struct service_unit *svc;

        if (!has_suffix(words[i], ".service"))
            continue;
        words[i][strlen(words[i]) - strlen(".service")] = '\0';
        svc = units_find_service(u, words[i]);
        if (svc)
            svc->wanted = true;
    }
}

static int load_target(struct units *u, const char *dir, flux_error_t *error)
{
    static const char *const keys[] = { "Wants", "Requires" };
    CLEANUP(unitfile_freep) struct unitfile *uf = NULL;
    CLEANUP(freep) char *path = NULL;
    flux_error_t why = { "" };
    int rc;

    if (asprintf(&path, "%s/flux.target", dir) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    rc = unitfile_read(path, &uf, &why);
    if (rc < 0)
        return name_file(rc, path, &why, error);
    for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
        for (size_t i = unitfile_first(uf, "Unit", keys[k]); i < uf->count;
             i = unitfile_next(uf, "Unit", keys[k], i))
            want_words(u, uf->entries[i].value);
    }
    return 0;
}

static int check_sockets(const struct units *u, const char *dir, flux_error_t *error)
{
    struct socket_unit *sock;

    TAILQ_FOREACH (sock, &u->sockets, entry) {
        if (!units_find_service(u, sock->service))
            return errorx_fail(error, ENOENT, "%s/%s.socket: there is no %s.service", dir,
                               sock->name, sock->service);
    }
    return TAILQ_EMPTY(&u->services) ? errorx_fail(error, ENOENT, "%s: no flux-*.service", dir) : 0;
}

/* Parse TEMPLATE.service under a name that begins with TEMPLATE. */
static int parse_template(const char *dir, const char *name, const struct unit_paths *paths,
                          struct service_unit **ret, flux_error_t *error)
{
    CLEANUP(unitfile_freep) struct unitfile *uf = NULL;
    CLEANUP(freep) char *path = NULL;
    flux_error_t why = { "" };
    int rc;

    if (asprintf(&path, "%s/" TEMPLATE ".service", dir) < 0) {
        path = NULL;
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    rc = unitfile_read(path, &uf, &why);
    if (rc == 0)
        rc = service_unit_parse(name, uf, paths, ret, &why);
    return name_file(rc, path, &why, error);
}

int units_instantiate(const char *dir, const char *name, const struct unit_paths *paths,
                      struct service_unit **ret, flux_error_t *error)
{
    const size_t len = strlen(TEMPLATE);

    if (strncmp(name, TEMPLATE, len) != 0 || !name[len] ||
        name[len + strspn(name + len, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789_-")] != '\0')
        return errorx_fail(error, EINVAL, "%s is not an instance of " TEMPLATE, name);
    return parse_template(dir, name, paths, ret, error);
}

static int load_templates(struct units *u, const char *dir, const struct unit_paths *paths,
                          flux_error_t *error)
{
    struct service_unit *svc;
    int rc = parse_template(dir, TEMPLATE, paths, &svc, error);

    if (rc == 0)
        TAILQ_INSERT_TAIL(&u->templates, svc, entry);
    return rc == -ENOENT ? 0 : rc;
}

static int load_all(struct units *u, const char *dir, const struct unit_paths *paths,
                    flux_error_t *error)
{
    struct dirent **list;
    int n = scandir(dir, &list, is_ours, alphasort);
    int rc = 0;

    if (n < 0)
        return errorx_fail(error, errno, "%s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = load_file(u, dir, list[i]->d_name, paths, error);
        free(list[i]);
    }
    free(list);
    return rc;
}

int units_load(const char *dir, const struct unit_paths *paths, struct units **ret,
               flux_error_t *error)
{
    CLEANUP(units_freep) struct units *u = calloc(1, sizeof(*u));
    int rc;

    if (!u)
        return errorx_fail(error, ENOMEM, "out of memory");
    TAILQ_INIT(&u->services);
    TAILQ_INIT(&u->templates);
    TAILQ_INIT(&u->sockets);
    if ((rc = load_all(u, dir, paths, error)) < 0 ||
        (rc = load_templates(u, dir, paths, error)) < 0 ||
        (rc = check_sockets(u, dir, error)) < 0 || (rc = load_target(u, dir, error)) < 0)
        return rc;
    *ret = TAKE(u);
    return 0;
}

struct units *units_free(struct units *u)
{
    struct service_unit *svc;
    struct socket_unit *sock;

    if (!u)
        return NULL;
    while ((sock = TAILQ_FIRST(&u->sockets))) {
        TAILQ_REMOVE(&u->sockets, sock, entry);
        (void)socket_unit_free(sock);
    }
    while ((svc = TAILQ_FIRST(&u->templates))) {
        TAILQ_REMOVE(&u->templates, svc, entry);
        (void)service_unit_free(svc);
    }
    while ((svc = TAILQ_FIRST(&u->services))) {
        TAILQ_REMOVE(&u->services, svc, entry);
        (void)service_unit_free(svc);
    }
    free(u);
    return NULL;
}

struct service_unit *units_find_service(const struct units *u, const char *name)
{
    struct service_unit *svc;

    TAILQ_FOREACH (svc, &u->services, entry) {
        if (strcmp(svc->name, name) == 0)
            return svc;
    }
    return NULL;
}
