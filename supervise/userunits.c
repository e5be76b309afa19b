/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Writes unit files. Every value is quoted and its specifiers and variables are neutralised: words
 * come from the user's command line. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "service/service.h"
#include "base/errorx.h"
#include "supervise/spawn.h"
#include "supervise/userunits.h"

char *userunits_name(const struct userunits *opts, const char *unit, const char *suffix)
{
    const char *rest = strncmp(unit, "flux-", 5) == 0 ? unit + 5 : unit;
    char *name;

    return asprintf(&name, "flux-%s-%s.%s", opts->name, rest, suffix) < 0 ? NULL : name;
}

char *userunits_quote(const char *word)
{
    char *out = malloc(2 * strlen(word) + 3);
    char *p = out;

    if (!out)
        return NULL;
    *p++ = '"';
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            *p++ = '\\';
        else if (*word == '%' || *word == '$')
            *p++ = *word;
        else if (*word == '\n') {
            *p++ = '\\';
            *p++ = 'n';
            continue;
        }
        *p++ = *word;
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

/* --- pieces of files --- */

static void put_word(FILE *f, const char *prefix, const char *word)
{
    CLEANUP(freep) char *quoted = userunits_quote(word);

    fprintf(f, "%s%s", prefix, quoted ? quoted : "");
}

/* Environment= knows no variables: $ stands for itself there. */
static void put_environment(FILE *f, char *const *environment)
{
    for (size_t i = 0; environment && environment[i]; i++) {
        CLEANUP(freep) char *quoted = userunits_quote(environment[i]);
        char *p = quoted;

        fputs("Environment=", f);
        while (p && *p) {
            fputc(*p, f);
            p += *p == '$' && p[1] == '$' ? 2 : 1;
        }
        fputc('\n', f);
    }
}

static void put_usec(FILE *f, const char *key, uint64_t usec)
{
    if (usec == UINT64_MAX)
        fprintf(f, "%s=infinity\n", key);
    else
        fprintf(f, "%s=%" PRIu64 "us\n", key, usec);
}

/* A path in a socket unit takes no quotes, only specifiers. */
static void put_path(FILE *f, const char *key, const char *path)
{
    fprintf(f, "%s=", key);
    for (; *path; path++) {
        if (*path == '%')
            fputc('%', f);
        fputc(*path, f);
    }
    fputc('\n', f);
}

static void put_socket(FILE *f, const struct socket_unit *s, const struct userunits *o)
{
    CLEANUP(freep) char *service = userunits_name(o, s->service, "service");

    fprintf(f, "[Unit]\nDescription=Flux instance %s: %s\nPartOf=flux-%s.target\n[Socket]\n",
            o->name, s->name, o->name);
    for (size_t i = 0; s->listen[i]; i++)
        put_path(f, "ListenSequentialPacket", s->listen[i]);
    for (size_t i = 0; s->symlinks && s->symlinks[i]; i++)
        put_path(f, "Symlinks", s->symlinks[i]);
    fprintf(f,
            "Service=%s\nFileDescriptorName=%s\nSocketMode=%04o\nDirectoryMode=0700\nBacklog=%d\n"
            "RemoveOnStop=yes\nTriggerLimitIntervalSec=0\nSlice=flux-%s.slice\n",
            service ? service : "", s->fdname, (unsigned int)s->mode, s->backlog, o->name);
}

static void put_dependencies(FILE *f, const struct units *u, const struct service_unit *s,
                             const struct userunits *o)
{
    const struct socket_unit *sock;

    TAILQ_FOREACH (sock, &u->sockets, entry) {
        CLEANUP(freep) char *name = NULL;

        if (strcmp(sock->service, s->name) != 0)
            continue;
        name = userunits_name(o, sock->name, "socket");
        if (name)
            fprintf(f, "Requires=%s\nAfter=%s\n", name, name);
    }
}

/* Whoever waits for the initial program learns that the instance was shut down. */
static void put_shutdown(FILE *f, const struct service_unit *s, const struct userunits *o)
{
    if (!s->wanted)
        return;
    for (int i = 0; i < 256; i++) {
        if (s->final_statuses[i / 64] >> (i % 64) & 1)
            fprintf(f,
                    "SuccessExitStatus=%d\n"
                    "ExecStopPost=/bin/sh -c '[ \"$$EXIT_STATUS\" != %d ] || kill -HUP %d'\n",
                    i, i, (int)o->pid);
    }
}

static void put_service(FILE *f, const struct units *u, const struct service_unit *s,
                        const struct userunits *o)
{
    static const char *const restarts[] = { "no", "on-failure", "always" };
    CLEANUP(freep) char *path = spawn_resolve(o->exec_path, s->argv[0]);

    fprintf(f, "[Unit]\nDescription=Flux instance %s: %s\nPartOf=flux-%s.target\n", o->name,
            s->description, o->name);
    fputs("StartLimitIntervalSec=0\n", f);
    put_dependencies(f, u, s, o);
    fprintf(f, "[Service]\nType=%s\n", s->notify ? "notify" : "simple");
    put_word(f, "ExecStart=", path ? path : s->argv[0]);
    for (size_t i = 1; s->argv[i]; i++) {
        /* The one specifier that unit.c leaves in a template. */
        if (strchr(s->name, '@') && strcmp(s->argv[i], "%i") == 0)
            fputs(" %i", f);
        else
            put_word(f, " ", s->argv[i]);
    }
    fputc('\n', f);
    put_environment(f, s->environment);
    put_environment(f, o->environment);
    fprintf(f, "Restart=%s\nFileDescriptorStoreMax=%u\nSlice=flux-%s.slice\n", restarts[s->restart],
            s->fdstore_max, o->name);
    for (int i = 0; i < 256; i++) {
        if (s->final_statuses[i / 64] >> (i % 64) & 1)
            fprintf(f, "RestartPreventExitStatus=%d\n", i);
    }
    put_shutdown(f, s, o);
    fprintf(f, "SuccessExitStatus=%d\nRestartForceExitStatus=%d\n", SERVICE_EXIT_ROUTER,
            SERVICE_EXIT_ROUTER);
    fprintf(f, "KillSignal=%d\nRestartKillSignal=%d\n", s->kill_signal, s->restart_signal);
    put_usec(f, "RestartSec", s->restart_usec);
    put_usec(f, "WatchdogSec", s->watchdog_usec);
    put_usec(f, "TimeoutStartSec", s->start_usec);
    put_usec(f, "TimeoutStopSec", s->stop_usec);
    put_usec(f, "TimeoutAbortSec", s->abort_usec);
    fputs("UMask=0077\nLimitNOFILE=524288\n", f);
    if (s->leave_children)
        fputs("KillMode=process\nOOMPolicy=continue\n", f);
}

static void put_target(FILE *f, const struct units *u, const struct userunits *o)
{
    const struct service_unit *svc;
    const struct socket_unit *sock;

    fprintf(f, "[Unit]\nDescription=Flux instance %s\n", o->name);
    TAILQ_FOREACH (sock, &u->sockets, entry) {
        CLEANUP(freep) char *name = userunits_name(o, sock->name, "socket");

        if (name)
            fprintf(f, "Requires=%s\nAfter=%s\n", name, name);
    }
    TAILQ_FOREACH (svc, &u->services, entry) {
        CLEANUP(freep) char *name = userunits_name(o, svc->name, "service");

        if (svc->wanted && name)
            fprintf(f, "Requires=%s\nAfter=%s\n", name, name);
    }
}

/* --- files --- */

static int finish(FILE *f, const char *path, flux_error_t *error)
{
    bool failed = ferror(f) != 0;

    if (fclose(f) != 0 || failed)
        return errorx_fail(error, EIO, "cannot write %s", path);
    return 0;
}

static int create(const struct userunits *o, const char *name, FILE **ret, flux_error_t *error)
{
    CLEANUP(freep) char *path = NULL;
    int fd;

    if (!name || asprintf(&path, "%s/%s", o->dir, name) < 0) {
        path = NULL;
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    *ret = fd < 0 ? NULL : fdopen(fd, "w");
    if (!*ret)
        return errorx_fail(error, errno, "cannot create %s: %s", path, strerror(errno));
    return 0;
}

static int write_services(const struct units *u, const struct service_units *list,
                          const struct userunits *o, flux_error_t *error)
{
    const struct service_unit *svc;
    FILE *f;
    int rc;

    TAILQ_FOREACH (svc, list, entry) {
        CLEANUP(freep) char *name = userunits_name(o, svc->name, "service");

        if ((rc = create(o, name, &f, error)) < 0)
            return rc;
        put_service(f, u, svc, o);
        if ((rc = finish(f, name, error)) < 0)
            return rc;
    }
    return 0;
}

int userunits_write(const struct units *u, const struct userunits *o, flux_error_t *error)
{
    CLEANUP(freep) char *target = NULL;
    const struct socket_unit *sock;
    FILE *f;
    int rc;

    TAILQ_FOREACH (sock, &u->sockets, entry) {
        CLEANUP(freep) char *name = userunits_name(o, sock->name, "socket");

        if ((rc = create(o, name, &f, error)) < 0)
            return rc;
        put_socket(f, sock, o);
        if ((rc = finish(f, name, error)) < 0)
            return rc;
    }
    if ((rc = write_services(u, &u->services, o, error)) < 0 ||
        (rc = write_services(u, &u->templates, o, error)) < 0)
        return rc;
    if (asprintf(&target, "flux-%s.target", o->name) < 0)
        target = NULL;
    if ((rc = create(o, target, &f, error)) < 0)
        return rc;
    put_target(f, u, o);
    return finish(f, target, error);
}

static void remove_file(const struct userunits *o, char *name)
{
    CLEANUP(freep) char *owned = name;
    CLEANUP(freep) char *path = NULL;

    if (!owned || asprintf(&path, "%s/%s", o->dir, owned) < 0) {
        path = NULL;
        return;
    }
    (void)unlink(path);
}

void userunits_remove(const struct units *u, const struct userunits *o)
{
    const struct service_unit *svc;
    const struct socket_unit *sock;
    char *target;

    TAILQ_FOREACH (sock, &u->sockets, entry)
        remove_file(o, userunits_name(o, sock->name, "socket"));
    TAILQ_FOREACH (svc, &u->services, entry)
        remove_file(o, userunits_name(o, svc->name, "service"));
    TAILQ_FOREACH (svc, &u->templates, entry)
        remove_file(o, userunits_name(o, svc->name, "service"));
    if (asprintf(&target, "flux-%s.target", o->name) >= 0)
        remove_file(o, target);
}
