/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the keys mean. The only run-time paths in our units are %t/flux and its like, so these are
 * replaced as a whole: another %t has no meaning here and is refused. */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "base/errorx.h"
#include "base/number.h"
#include "config.h"
#include "supervise/unit.h"

#define DEFAULT_RESTART_USEC 100000
#define DEFAULT_START_USEC   90000000
#define DEFAULT_STOP_USEC    90000000
#define DEFAULT_ABORT_USEC   2000000 /* for a core dump */
#define DEFAULT_BACKLOG      4096
#define FDSTORE_LIMIT        65536

/* --- specifiers --- */

static const char *home(void)
{
    const char *dir = getenv("HOME");
    const struct passwd *pw = dir ? NULL : getpwuid(geteuid());

    return dir ? dir : pw ? pw->pw_dir : "/";
}

/* What the specifier at s (after '%') stands for, and how many bytes of s it takes. */
static const char *specifier(const char *s, const char *name, const struct unit_paths *paths,
                             size_t *ret_len)
{
    const struct {
        char letter;
        const char *dir;
    } dirs[] = { { 't', paths->rundir },
                 { 'S', paths->statedir },
                 { 'L', paths->logdir },
                 { 'E', paths->confdir ? paths->confdir : FLUX_SYSCONFDIR } };
    const char *at;

    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        if (s[0] == dirs[i].letter && strncmp(s + 1, "/flux", 5) == 0 &&
            (s[6] == '\0' || s[6] == '/' || isspace((unsigned char)s[6]))) {
            *ret_len = 6;
            return dirs[i].dir;
        }
    }
    *ret_len = 1;
    switch (s[0]) {
    case '%':
        return "%";
    case 'h':
        return home();
    case 'i':
        if (!(at = strchr(name, '@')))
            return NULL;
        return at[1] ? at + 1 : "%i";
    case 'n':
    case 'N':
        return name;
    default:
        return NULL;
    }
}

int unit_expand(const char *s, const char *name, const struct unit_paths *paths, char **ret)
{
    CLEANUP(freep) char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    bool ok = true;

    if (!f)
        return -ENOMEM;
    for (; *s && ok; s++) {
        const char *value = NULL;
        size_t len = 0;

        if (*s != '%') {
            fputc(*s, f);
            continue;
        }
        value = specifier(s + 1, name, paths, &len);
        ok = value != NULL;
        if (ok) {
            fputs(value, f);
            s += len;
        }
    }
    if (fclose(f) != 0)
        return -ENOMEM;
    if (!ok)
        return -EINVAL;
    *ret = TAKE(out);
    return 0;
}

/* --- values --- */

struct context {
    const char *name;
    const char *section;
    const struct unitfile *uf;
    const struct unit_paths *paths;
    flux_error_t *error;
};

static int bad(const struct context *c, const char *key, const char *value)
{
    return errorx_fail(c->error, EINVAL, "%s=%s in [%s] has no meaning here", key, value,
                       c->section);
}

static int get_usec(const struct context *c, const char *key, uint64_t fallback, uint64_t *ret)
{
    const char *value = unitfile_get(c->uf, c->section, key);

    *ret = fallback;
    return value && unitfile_parse_usec(value, ret) < 0 ? bad(c, key, value) : 0;
}

static int get_unsigned(const struct context *c, const char *key, int max, int fallback, int *ret)
{
    const char *value = unitfile_get(c->uf, c->section, key);

    *ret = fallback;
    return value && number_parse_int(value, 0, max, ret) < 0 ? bad(c, key, value) : 0;
}

/* All words of all assignments of a list key, expanded. */
static int get_words(const struct context *c, const char *key, char ***ret)
{
    for (size_t i = unitfile_first(c->uf, c->section, key); i < c->uf->count;
         i = unitfile_next(c->uf, c->section, key, i)) {
        CLEANUP(strv_freep) char **words = NULL;
        const char *value = c->uf->entries[i].value;

        if (unitfile_split(value, &words) < 0)
            return bad(c, key, value);
        for (size_t k = 0; words[k]; k++) {
            char *word;

            if (unit_expand(words[k], c->name, c->paths, &word) < 0)
                return bad(c, key, value);
            if (strv_take(ret, word) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

static int get_string(const struct context *c, const char *key, const char *fallback, char **ret)
{
    const char *value = unitfile_get(c->uf, c->section, key);

    *ret = strdup(value ? value : fallback);
    return *ret ? 0 : -ENOMEM;
}

/* --- services --- */

static int get_exec(const struct context *c, struct service_unit *u)
{
    int rc = get_words(c, "ExecStart", &u->argv);
    size_t skip;

    if (rc < 0)
        return rc;
    if (!u->argv)
        return errorx_fail(c->error, EINVAL, "no ExecStart=");
    skip = strspn(u->argv[0], "-:+!@");
    memmove(u->argv[0], u->argv[0] + skip, strlen(u->argv[0] + skip) + 1);
    if (u->argv[0][0] != '/')
        return errorx_fail(c->error, EINVAL, "ExecStart= needs an absolute path");
    return 0;
}

static int get_environment(const struct context *c, struct service_unit *u)
{
    int rc = get_words(c, "Environment", &u->environment);

    for (size_t i = 0; rc == 0 && u->environment && u->environment[i]; i++) {
        if (!strchr(u->environment[i], '=') || u->environment[i][0] == '=')
            rc = bad(c, "Environment", u->environment[i]);
    }
    return rc;
}

static int get_restart(const struct context *c, struct service_unit *u)
{
    static const char *const on_failure[] = { "on-failure", "on-abnormal", "on-watchdog",
                                              "on-abort" };
    const char *value = unitfile_get(c->uf, c->section, "Restart");

    u->restart = UNIT_RESTART_NO;
    if (!value || strcmp(value, "no") == 0 || strcmp(value, "on-success") == 0)
        return 0;
    if (strcmp(value, "always") == 0) {
        u->restart = UNIT_RESTART_ALWAYS;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(on_failure); i++) {
        if (strcmp(value, on_failure[i]) == 0) {
            u->restart = UNIT_RESTART_ON_FAILURE;
            return 0;
        }
    }
    return bad(c, "Restart", value);
}

/* Numbers only: names of statuses are not worth a table. */
static int get_final_statuses(const struct context *c, struct service_unit *u)
{
    CLEANUP(strv_freep) char **words = NULL;
    int rc = get_words(c, "RestartPreventExitStatus", &words), n;

    for (size_t i = 0; rc == 0 && words && words[i]; i++) {
        if (number_parse_int(words[i], 0, 255, &n) < 0)
            return bad(c, "RestartPreventExitStatus", words[i]);
        u->final_statuses[n / 64] |= 1ull << (n % 64);
    }
    return rc;
}

static int get_signal(const struct context *c, const char *key, int standard, int *ret)
{
    const char *value = unitfile_get(c->uf, c->section, key);

    *ret = standard;
    if (!value)
        return 0;
    for (int sig = 1; sig < SIGRTMIN; sig++) {
        const char *name = sigabbrev_np(sig);

        if (name && strncmp(value, "SIG", 3) == 0 && strcmp(value + 3, name) == 0) {
            *ret = sig;
            return 0;
        }
    }
    return bad(c, key, value);
}

static int get_type(const struct context *c, struct service_unit *u)
{
    const char *value = unitfile_get(c->uf, c->section, "Type");

    u->notify = value && (strcmp(value, "notify") == 0 || strcmp(value, "notify-reload") == 0);
    if (!value || u->notify || strcmp(value, "simple") == 0 || strcmp(value, "exec") == 0)
        return 0;
    return bad(c, "Type", value);
}

static bool is_wanted(const struct unitfile *uf, const char *target)
{
    static const char *const keys[] = { "WantedBy", "RequiredBy" };

    for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
        for (size_t i = unitfile_first(uf, "Install", keys[k]); i < uf->count;
             i = unitfile_next(uf, "Install", keys[k], i)) {
            CLEANUP(strv_freep) char **words = NULL;

            if (unitfile_split(uf->entries[i].value, &words) < 0)
                continue;
            for (size_t w = 0; words[w]; w++) {
                if (strcmp(words[w], target) == 0)
                    return true;
            }
        }
    }
    return false;
}

static int fill_service(const struct context *c, struct service_unit *u)
{
    const struct context unit = { c->name, "Unit", c->uf, c->paths, c->error };
    const char *kill_mode;
    int rc, fdstore;

    u->name = strdup(c->name);
    if (!u->name)
        return -ENOMEM;
    if ((rc = get_string(&unit, "Description", c->name, &u->description)) < 0 ||
        (rc = get_exec(c, u)) < 0 || (rc = get_environment(c, u)) < 0 ||
        (rc = get_restart(c, u)) < 0 || (rc = get_final_statuses(c, u)) < 0 ||
        (rc = get_type(c, u)) < 0 ||
        (rc = get_signal(c, "KillSignal", SIGTERM, &u->kill_signal)) < 0 ||
        (rc = get_signal(c, "RestartKillSignal", u->kill_signal, &u->restart_signal)) < 0 ||
        (rc = get_usec(c, "RestartSec", DEFAULT_RESTART_USEC, &u->restart_usec)) < 0 ||
        (rc = get_usec(c, "WatchdogSec", 0, &u->watchdog_usec)) < 0 ||
        (rc = get_usec(c, "TimeoutStartSec", DEFAULT_START_USEC, &u->start_usec)) < 0 ||
        (rc = get_usec(c, "TimeoutStopSec", DEFAULT_STOP_USEC, &u->stop_usec)) < 0 ||
        (rc = get_usec(c, "TimeoutAbortSec", DEFAULT_ABORT_USEC, &u->abort_usec)) < 0 ||
        (rc = get_unsigned(c, "FileDescriptorStoreMax", FDSTORE_LIMIT, 0, &fdstore)) < 0)
        return rc;
    u->fdstore_max = fdstore;
    kill_mode = unitfile_get(c->uf, c->section, "KillMode");
    u->leave_children = kill_mode && strcmp(kill_mode, "process") == 0;
    u->wanted = is_wanted(c->uf, "flux.target");
    if (u->watchdog_usec == UINT64_MAX)
        u->watchdog_usec = 0;
    return 0;
}

int service_unit_parse(const char *name, const struct unitfile *uf, const struct unit_paths *paths,
                       struct service_unit **ret, flux_error_t *error)
{
    CLEANUP(service_unit_freep) struct service_unit *u = calloc(1, sizeof(*u));
    const struct context c = { name, "Service", uf, paths, error };
    int rc = u ? fill_service(&c, u) : -ENOMEM;

    if (rc == -ENOMEM)
        errorx_set(error, "out of memory");
    if (rc < 0)
        return rc;
    *ret = TAKE(u);
    return 0;
}

struct service_unit *service_unit_free(struct service_unit *u)
{
    if (u) {
        free(u->name);
        free(u->description);
        (void)strv_free(u->argv);
        (void)strv_free(u->environment);
        free(u);
    }
    return NULL;
}

/* --- sockets --- */

static int get_mode(const struct context *c, struct socket_unit *u)
{
    const char *value = unitfile_get(c->uf, c->section, "SocketMode");
    char *end;
    unsigned long mode;

    u->mode = 0666;
    if (!value)
        return 0;
    mode = strtoul(value, &end, 8);
    if (*end || !isdigit((unsigned char)*value) || mode > 0777)
        return bad(c, "SocketMode", value);
    u->mode = mode;
    return 0;
}

static int get_service_name(const struct context *c, struct socket_unit *u)
{
    static const char suffix[] = ".service";
    const char *value = unitfile_get(c->uf, c->section, "Service");
    size_t len;

    if (!value) {
        u->service = strdup(c->name);
        return u->service ? 0 : -ENOMEM;
    }
    len = strlen(value);
    if (len <= strlen(suffix) || strcmp(value + len - strlen(suffix), suffix) != 0)
        return bad(c, "Service", value);
    u->service = strndup(value, len - strlen(suffix));
    return u->service ? 0 : -ENOMEM;
}

static int check_paths(const struct context *c, const struct socket_unit *u)
{
    if (!u->listen)
        return errorx_fail(c->error, EINVAL, "no ListenSequentialPacket=");
    for (size_t i = 0; u->listen[i]; i++) {
        if (u->listen[i][0] != '/')
            return bad(c, "ListenSequentialPacket", u->listen[i]);
    }
    for (size_t i = 0; u->symlinks && u->symlinks[i]; i++) {
        if (u->symlinks[i][0] != '/')
            return bad(c, "Symlinks", u->symlinks[i]);
    }
    return 0;
}

static int fill_socket(const struct context *c, struct socket_unit *u)
{
    const char *accept = unitfile_get(c->uf, c->section, "Accept");
    int rc;

    if (accept && (*accept == 'y' || *accept == '1' || *accept == 't' || strcmp(accept, "on") == 0))
        return bad(c, "Accept", accept);
    u->name = strdup(c->name);
    if (!u->name)
        return -ENOMEM;
    if ((rc = get_words(c, "ListenSequentialPacket", &u->listen)) < 0 ||
        (rc = get_words(c, "Symlinks", &u->symlinks)) < 0 || (rc = check_paths(c, u)) < 0 ||
        (rc = get_mode(c, u)) < 0 || (rc = get_service_name(c, u)) < 0 ||
        (rc = get_string(c, "FileDescriptorName", c->name, &u->fdname)) < 0 ||
        (rc = get_unsigned(c, "Backlog", INT32_MAX, DEFAULT_BACKLOG, &u->backlog)) < 0)
        return rc;
    if (strpbrk(u->fdname, ": \t\n") || strlen(u->fdname) > 255)
        return bad(c, "FileDescriptorName", u->fdname);
    return 0;
}

int socket_unit_parse(const char *name, const struct unitfile *uf, const struct unit_paths *paths,
                      struct socket_unit **ret, flux_error_t *error)
{
    CLEANUP(socket_unit_freep) struct socket_unit *u = calloc(1, sizeof(*u));
    const struct context c = { name, "Socket", uf, paths, error };
    int rc = u ? fill_socket(&c, u) : -ENOMEM;

    if (rc == -ENOMEM)
        errorx_set(error, "out of memory");
    if (rc < 0)
        return rc;
    *ret = TAKE(u);
    return 0;
}

struct socket_unit *socket_unit_free(struct socket_unit *u)
{
    if (u) {
        free(u->name);
        free(u->service);
        (void)strv_free(u->listen);
        (void)strv_free(u->symlinks);
        free(u->fdname);
        free(u);
    }
    return NULL;
}
