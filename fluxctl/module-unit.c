/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Starting and stopping modules of third parties. What is to be run stands in
 * RUNDIR/module/NAME.json; the unit is named after the module and reads it. RUNDIR may belong to
 * another user (we may be root): nothing in it is followed that could be a link. */
#include "module-unit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fdwrite.h"
#include "client.h"
#include "config.h"
#include "start.h"

#define SYSTEM_RUNDIR "/run/flux"
#define OUTPUT_MAX    4096

/* --- which manager --- */

static enum manager_kind kind_of(const char *rundir)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    size_t len = dir ? strlen(dir) : 0;
    CLEANUP(freep) char *control = NULL;

    if (asprintf(&control, "%s/control", rundir) < 0)
        control = NULL;
    if (control && access(control, F_OK) == 0)
        return MANAGER_EMBEDDED;
    if (len > 0 && strncmp(rundir, dir, len) == 0 && strncmp(rundir + len, "/flux/", 6) == 0)
        return MANAGER_USER;
    return MANAGER_SYSTEM;
}

int manager_find(struct manager *ret)
{
    static const char prefix[] = "local://", suffix[] = "/local";
    const char *uri = getenv("FLUX_URI");
    size_t len = uri ? strlen(uri) : 0;

    if (!uri) {
        ret->rundir = strdup(SYSTEM_RUNDIR);
    } else if (len > strlen(prefix) + strlen(suffix) && strncmp(uri, prefix, strlen(prefix)) == 0 &&
               strcmp(uri + len - strlen(suffix), suffix) == 0) {
        ret->rundir = strndup(uri + strlen(prefix), len - strlen(prefix) - strlen(suffix));
    } else {
        complain("FLUX_URI=%s does not name an instance on this node", uri);
        return -1;
    }
    if (!ret->rundir) {
        complain("out of memory");
        return -1;
    }
    ret->kind = kind_of(ret->rundir);
    if (geteuid() == 0 && ret->kind == MANAGER_SYSTEM && strcmp(ret->rundir, SYSTEM_RUNDIR) != 0) {
        complain("%s is not the run-time directory of the system instance", ret->rundir);
        manager_deinit(ret);
        return -1;
    }
    return 0;
}

void manager_deinit(struct manager *m)
{
    free(m->rundir);
    m->rundir = NULL;
}

bool manager_has_daemon(const struct manager *m, const char *name)
{
    static const char *const places[] = { "node", "leader" };

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        CLEANUP(freep) char *path = NULL;

        if (asprintf(&path, "%s/%s/%s", m->rundir, places[i], name) < 0) {
            path = NULL;
            return false;
        }
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* --- running programs --- */

/* Foreign code is looked into by the user that it will run as, never by root. */
static void become_owner(void)
{
    const struct passwd *pw;

    if (geteuid() != 0)
        return;
    if (!(pw = getpwnam(FLUX_OWNER)) || setgroups(0, NULL) < 0 || setgid(pw->pw_gid) < 0 ||
        setuid(pw->pw_uid) < 0) {
        fprintf(stderr, "cannot become the user %s\n", FLUX_OWNER);
        _exit(EXIT_FAILURE);
    }
}

/* Its exit status, and what it wrote to both outputs, without the last newline; malloc'd. */
static int run(char *const argv[], bool as_owner, char **ret_output)
{
    CLEANUP(freep) char *buf = calloc(1, OUTPUT_MAX + 1);
    size_t len = 0;
    int fds[2], status;
    ssize_t n;
    pid_t pid;

    if (!buf || pipe2(fds, O_CLOEXEC) < 0)
        return complain("%s: %s", argv[0], strerror(errno));
    if ((pid = fork()) == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)dup2(fds[1], STDERR_FILENO);
        if (as_owner)
            become_owner();
        (void)execvp(argv[0], argv);
        fprintf(stderr, "cannot execute %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    (void)close(fds[1]);
    while (len < OUTPUT_MAX &&
           ((n = read(fds[0], buf + len, OUTPUT_MAX - len)) > 0 || (n < 0 && errno == EINTR)))
        len += n > 0 ? (size_t)n : 0;
    (void)close(fds[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    while (len > 0 && buf[len - 1] == '\n')
        buf[--len] = '\0';
    *ret_output = TAKE(buf);
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

json_t *module_describe(const struct manager *m, const char *what)
{
    CLEANUP(start_layout_deinit) struct start_layout layout = { .supervise = NULL };
    CLEANUP(freep) char *program = NULL;
    CLEANUP(freep) char *output = NULL;
    json_t *o;

    if (start_layout_find(&layout) < 0 ||
        !(program = start_layout_program(&layout, "flux-module-exec"))) {
        complain("out of memory");
        return NULL;
    }
    char *argv[] = { program, "--describe", (char *)what, NULL };

    if (run(argv, m->kind == MANAGER_SYSTEM, &output) != 0) {
        complain("%s", output ? output : "flux-module-exec failed");
        return NULL;
    }
    if (!(o = json_loads(output, 0, NULL)))
        complain("%s: flux-module-exec says: %s", what, output);
    return o;
}

/* --- records --- */

static char *record_name(const char *name)
{
    char *file;

    return asprintf(&file, "%s.json", name) < 0 ? NULL : file;
}

/* RUNDIR/module, made if there is none. */
static int open_records(const struct manager *m)
{
    CLEANUP(closep)
    int rundir = open(m->rundir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    int fd;

    if (rundir < 0)
        return -errno;
    if (mkdirat(rundir, "module", 0755) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(rundir, "module", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    /* Made by root for the daemons to read, whatever the umask. */
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid())
        (void)fchmod(fd, 0755);
    return fd;
}

static int write_record(const struct manager *m, const char *name, const char *path, json_t *args)
{
    CLEANUP(closep) int dir = open_records(m);
    CLEANUP(closep) int fd = -EBADF;
    CLEANUP(freep) char *file = record_name(name);
    CLEANUP(json_decrefp) json_t *o = json_pack("{s:s s:O}", "path", path, "args", args);
    CLEANUP(freep) char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    static const char temporary[] = "new.tmp";
    int rc;

    if (dir < 0)
        return dir;
    if (!file || !text)
        return -ENOMEM;
    (void)unlinkat(dir, temporary, 0);
    fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    if ((rc = fd_write_all(fd, text, strlen(text))) < 0)
        return rc;
    (void)fchmod(fd, 0644);
    return renameat(dir, temporary, dir, file) < 0 ? -errno : 0;
}

json_t *module_record(const struct manager *m, const char *name)
{
    CLEANUP(closep) int dir = open_records(m);
    CLEANUP(closep) int fd = -EBADF;
    CLEANUP(freep) char *file = record_name(name);

    if (dir < 0 || !file || (fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return NULL;
    return json_loadfd(fd, 0, NULL);
}

static void remove_record(const struct manager *m, const char *name)
{
    CLEANUP(closep) int dir = open_records(m);
    CLEANUP(freep) char *file = record_name(name);

    if (dir >= 0 && file)
        (void)unlinkat(dir, file, 0);
}

/* --- the embedded manager --- */

/* "ok", or why not; malloc'd. NULL: has complained. */
static char *ask_control(const struct manager *m, const char *verb, const char *name)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char buf[512];
    ssize_t n;

    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/control", m->rundir);
    (void)snprintf(buf, sizeof(buf), "%s flux-module@%s", verb, name);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
        send(fd, buf, strlen(buf), MSG_NOSIGNAL) < 0 ||
        (n = recv(fd, buf, sizeof(buf) - 1, 0)) <= 0) {
        complain("cannot ask flux-supervise at %s: %s", sa.sun_path,
                 errno ? strerror(errno) : "it went away");
        return NULL;
    }
    buf[n] = '\0';
    return strdup(buf);
}

static int control(const struct manager *m, const char *verb, const char *name, char **ret_why)
{
    char *text = ask_control(m, verb, name);

    *ret_why = text;
    return text && strcmp(text, "ok") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- systemd --- */

static char *unit_name(const struct manager *m, const char *name)
{
    const char *instance = strrchr(m->rundir, '/');
    char *unit;
    int rc;

    if (m->kind == MANAGER_USER)
        rc = asprintf(&unit, "flux-%s-module@%s.service", instance ? instance + 1 : "", name);
    else
        rc = asprintf(&unit, "flux-module@%s.service", name);
    return rc < 0 ? NULL : unit;
}

static int systemctl(const struct manager *m, const char *verb, const char *unit, char **ret_output)
{
    char *argv[] = { "systemctl",         m->kind == MANAGER_USER ? "--user" : "--system",
                     "--no-ask-password", (char *)verb,
                     (char *)unit,        NULL };

    return run(argv, false, ret_output);
}

/* A property of the unit, malloc'd; NULL if it cannot be told or is empty. */
static char *unit_property(const struct manager *m, const char *unit, const char *property)
{
    char *argv[] = { "systemctl",  m->kind == MANAGER_USER ? "--user" : "--system",
                     "show",       "--value",
                     "--property", (char *)property,
                     (char *)unit, NULL };
    CLEANUP(freep) char *output = NULL;

    if (run(argv, false, &output) != 0 || !output || !output[0])
        return NULL;
    return TAKE(output);
}

static bool not_permitted(const char *output)
{
    return output &&
           (strstr(output, "Access denied") || strstr(output, "authentication required") ||
            strstr(output, "Permission denied") || strstr(output, "not permitted"));
}

/* --- start and stop --- */

int module_is_loaded(const struct manager *m, const char *name)
{
    CLEANUP(freep) char *unit = unit_name(m, name);
    CLEANUP(freep) char *text = NULL;

    if (m->kind == MANAGER_EMBEDDED) {
        if (control(m, "status", name, &text) == EXIT_SUCCESS)
            return 1;
        return text ? 0 : -1;
    }
    text = unit ? unit_property(m, unit, "ActiveState") : NULL;
    return text && (strcmp(text, "inactive") != 0 && strcmp(text, "failed") != 0);
}

static void print_arguments(FILE *f, const json_t *args)
{
    size_t i;
    json_t *arg;

    json_array_foreach (args, i, arg)
        fprintf(f, " %s", json_string_value(arg));
}

static int leave_it_to_root(const char *path, const json_t *args)
{
    complain("the system's service manager lets only root start modules; type:");
    fprintf(stderr, "  sudo flux module load %s", path);
    print_arguments(stderr, args);
    fputc('\n', stderr);
    return EXIT_FAILURE;
}

static int start_by_systemd(const struct manager *m, const char *name, const char *path,
                            const json_t *args)
{
    CLEANUP(freep) char *unit = unit_name(m, name);
    CLEANUP(freep) char *output = NULL;
    CLEANUP(freep) char *why = NULL;

    if (!unit)
        return complain("out of memory");
    if (systemctl(m, "start", unit, &output) == 0)
        return EXIT_SUCCESS;
    if (not_permitted(output))
        return leave_it_to_root(path, args);
    why = unit_property(m, unit, "StatusText");
    return complain("cannot load %s: %s", name, why ? why : output ? output : "it did not start");
}

/* Of a module that did not get as far as that, no more starts. */
static void stop_quietly(const struct manager *m, const char *name)
{
    CLEANUP(freep) char *unit = unit_name(m, name);
    CLEANUP(freep) char *output = NULL;
    CLEANUP(freep) char *again = NULL;

    if (m->kind == MANAGER_EMBEDDED) {
        (void)control(m, "stop", name, &output);
    } else if (unit) {
        (void)systemctl(m, "stop", unit, &output);
        (void)systemctl(m, "reset-failed", unit, &again);
    }
    remove_record(m, name);
}

int module_start(const struct manager *m, const char *name, const char *path, json_t *args)
{
    CLEANUP(freep) char *why = NULL;
    int rc = write_record(m, name, path, args);
    int status;

    if ((rc == -EACCES || rc == -EPERM) && m->kind == MANAGER_SYSTEM)
        return leave_it_to_root(path, args);
    if (rc < 0)
        return complain("cannot write %s/module/%s.json: %s", m->rundir, name, strerror(-rc));
    if (m->kind != MANAGER_EMBEDDED) {
        status = start_by_systemd(m, name, path, args);
    } else {
        status = control(m, "start", name, &why);
        if (status != EXIT_SUCCESS && why)
            complain("cannot load %s: %s", name, why);
    }
    if (status != EXIT_SUCCESS)
        stop_quietly(m, name);
    return status;
}

static int stop_by_systemd(const struct manager *m, const char *name)
{
    CLEANUP(freep) char *unit = unit_name(m, name);
    CLEANUP(freep) char *state = unit ? unit_property(m, unit, "ActiveState") : NULL;
    CLEANUP(freep) char *output = NULL;

    if (!state || strcmp(state, "inactive") == 0)
        return MODULE_NOT_LOADED;
    if (systemctl(m, "stop", unit, &output) == 0)
        return EXIT_SUCCESS;
    if (not_permitted(output))
        return MODULE_NOT_PERMITTED;
    return complain("cannot remove %s: %s", name, output ? output : "it did not end");
}

int module_stop(const struct manager *m, const char *name)
{
    CLEANUP(freep) char *why = NULL;
    int status;

    if (m->kind != MANAGER_EMBEDDED) {
        status = stop_by_systemd(m, name);
    } else {
        status = control(m, "stop", name, &why);
        if (status != EXIT_SUCCESS && why)
            status = strstr(why, "is not loaded") ? MODULE_NOT_LOADED
                                                  : complain("cannot remove %s: %s", name, why);
    }
    if (status == EXIT_SUCCESS)
        remove_record(m, name);
    return status;
}
