/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An instance under the user's own systemd: unit files of its own in $XDG_RUNTIME_DIR/systemd/user,
 * all in flux-NAME.slice under flux-NAME.target, so that `systemctl --user status 'flux-NAME-*'`
 * and `journalctl --user -u flux-NAME-kvs` show it. Stopped and removed when the command ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/errorx.h"
#include "supervise/leave.h"
#include "supervise/rundir.h"
#include "supervise/sockets.h"
#include "supervise/userinstance.h"
#include "supervise/usermanager.h"
#include "supervise/userunits.h"

#define NAME_SIZE 8

struct instance {
    char name[NAME_SIZE + 1];
    char *rundir;
    char *statedir;
    char *unitdir;
    char *target;
    char *slice;
    char **environment;
    struct units *units;
    struct userunits files;
    struct usermanager *manager;
    bool written;
};

static volatile sig_atomic_t child_pid;

static void on_signal(int sig)
{
    if (child_pid > 0)
        (void)kill((pid_t)child_pid, sig);
}

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int complain(const char *fmt, ...)
{
    va_list ap;

    fputs("flux-supervise: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return EXIT_FAILURE;
}

/* Letters and digits only: a dash would mean a slice within a slice. */
static int make_name(char *name)
{
    static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789";
    unsigned char random[NAME_SIZE];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    for (size_t i = 0; i < NAME_SIZE; i++)
        name[i] = alphabet[random[i] % (sizeof(alphabet) - 1)];
    name[NAME_SIZE] = '\0';
    return 0;
}

static int format(char **ret, const char *fmt, const char *a, const char *b)
{
    if (asprintf(ret, fmt, a, b) < 0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int put_env(struct instance *in, const char *name, const char *value)
{
    char *s;
    int rc = value ? format(&s, "%s=%s", name, value) : 0;

    return rc < 0 || !value ? rc : strv_take(&in->environment, s);
}

static int make_paths(struct instance *in, const struct supervisor_options *o, flux_error_t *error)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    CLEANUP(freep) char *rundir = NULL;
    CLEANUP(freep) char *below = NULL;
    bool made;
    int rc = make_name(in->name);

    if (rc < 0 || (rc = format(&rundir, "%s/flux/%s", dir, in->name)) < 0 ||
        (rc = format(&in->unitdir, "%s/systemd/%s", dir, "user")) < 0 ||
        (rc = format(&below, "%s/%s", in->unitdir, "x")) < 0 ||
        (rc = format(&in->target, "flux-%s.%s", in->name, "target")) < 0 ||
        (rc = format(&in->slice, "flux-%s.%s", in->name, "slice")) < 0 ||
        (rc = make_parents(rundir, 0700)) < 0 || (rc = make_parents(below, 0700)) < 0)
        return errorx_fail(error, -rc, "cannot prepare %s: %s", dir, strerror(-rc));
    if ((rc = rundir_make(rundir, &in->rundir, &made, error)) < 0)
        return rc;
    if (!o->statedir)
        return 0;
    in->statedir = strdup(o->statedir);
    return in->statedir ? 0 : errorx_fail(error, ENOMEM, "out of memory");
}

static int make_environment(struct instance *in, const struct supervisor_options *o)
{
    static const char *const inherited[] = {
        "FLUX_JOB_SHELL",      "FLUX_PARENT_URI", "FLUX_PARENT_KVS_NAMESPACE",
        "FLUX_INSTANCE_LEVEL", "FLUX_LOG_LEVEL",  "PATH",
        "LD_LIBRARY_PATH"
    };
    CLEANUP(freep) char *units = NULL;
    int rc;

    if ((rc = put_env(in, "FLUX_RUNDIR", in->rundir)) < 0 ||
        (rc = put_env(in, "FLUX_INSTANCE", in->name)) < 0 ||
        (rc = put_env(in, "STATE_DIRECTORY", in->statedir)) < 0 ||
        (rc = put_env(in, "FLUX_STATEDIR", o->statedir)) < 0 ||
        (rc = put_env(in, "FLUX_CONF_DIR", o->confdir ? o->confdir : "")) < 0 ||
        (rc = put_env(in, "FLUX_EXEC_LAUNCH", "user-unit")) < 0 ||
        (rc = format(&units, "flux-%s-%s", in->name, "job")) < 0 ||
        (rc = put_env(in, "FLUX_EXEC_UNITS", units)) < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
        if ((rc = put_env(in, inherited[i], getenv(inherited[i]))) < 0)
            return rc;
    }
    return 0;
}

static int load_units(struct instance *in, const struct supervisor_options *o, flux_error_t *error)
{
    const struct unit_paths paths = {
        .rundir = in->rundir,
        .statedir = in->statedir ? in->statedir : in->rundir,
        .logdir = in->rundir,
        .confdir = o->confdir,
    };
    struct service_unit *broker;
    int rc = units_load(o->units, &paths, &in->units, error);

    if (rc < 0)
        return rc;
    broker = units_find_service(in->units, "flux-broker");
    for (size_t i = 0; broker && o->broker_args && o->broker_args[i]; i++) {
        if (strv_append(&broker->argv, o->broker_args[i]) < 0)
            return errorx_fail(error, ENOMEM, "out of memory");
    }
    return 0;
}

static int bring_up(struct instance *in, const struct supervisor_options *o, flux_error_t *error)
{
    int rc;

    if ((rc = make_paths(in, o, error)) < 0 || (rc = load_units(in, o, error)) < 0)
        return rc;
    if (make_environment(in, o) < 0)
        return errorx_fail(error, ENOMEM, "out of memory");
    in->files = (struct userunits){ .name = in->name,
                                    .dir = in->unitdir,
                                    .exec_path = o->exec_path,
                                    .environment = in->environment,
                                    .pid = getpid() };
    if ((rc = usermanager_open(&in->manager, error)) < 0)
        return rc;
    in->written = true;
    if ((rc = userunits_write(in->units, &in->files, error)) < 0 ||
        (rc = usermanager_reload(in->manager, error)) < 0)
        return rc;
    return usermanager_start(in->manager, in->target, error);
}

/* Jobs are units in flux-NAME-jobs.slice and end with the slice. What `flux exec` started are
 * children of flux-exec that survive its restarts; at the end they go with it. */
static void kill_children(struct instance *in, int sig)
{
    CLEANUP(freep) char *name = userunits_name(&in->files, "flux-exec", "service");

    if (name)
        usermanager_kill(in->manager, name, sig);
}

static void reset_failed(struct instance *in)
{
    const struct service_unit *svc;

    TAILQ_FOREACH (svc, &in->units->services, entry) {
        CLEANUP(freep) char *name = userunits_name(&in->files, svc->name, "service");

        if (name)
            usermanager_reset_failed(in->manager, name);
    }
}

static void take_down(struct instance *in)
{
    flux_error_t error;

    if (in->written) {
        kill_children(in, SIGTERM);
        if (usermanager_stop(in->manager, in->target, &error) < 0 ||
            usermanager_stop(in->manager, in->slice, &error) < 0)
            (void)complain("%s", error.text);
        kill_children(in, SIGKILL);
        reset_failed(in);
        userunits_remove(in->units, &in->files);
        (void)usermanager_reload(in->manager, &error);
    }
    if (in->rundir)
        rundir_remove(in->rundir);
}

static void instance_deinit(struct instance *in)
{
    in->manager = usermanager_close(in->manager);
    in->units = units_free(in->units);
    (void)strv_free(in->environment);
    free(in->slice);
    free(in->target);
    free(in->unitdir);
    free(in->statedir);
    free(in->rundir);
}

static void child(const struct instance *in, char *const *argv, pid_t parent)
{
    char *uri;

    (void)prctl(PR_SET_PDEATHSIG, SIGHUP);
    if (getppid() != parent || asprintf(&uri, "local://%s/local", in->rundir) < 0 ||
        setenv("FLUX_URI", uri, 1) < 0)
        _exit(EXIT_FAILURE);
    (void)execvp(argv[0], argv);
    (void)complain("cannot run %s: %s", argv[0], strerror(errno));
    _exit(127);
}

static int run_command(const struct instance *in, char *const *argv)
{
    const struct sigaction forward = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    const pid_t parent = getpid();
    const pid_t pid = fork();
    int status;

    if (pid == 0)
        child(in, argv, parent);
    if (pid < 0)
        return complain("cannot start %s: %s", argv[0], strerror(errno));
    child_pid = pid;
    (void)sigaction(SIGTERM, &forward, NULL);
    (void)sigaction(SIGHUP, &forward, NULL);
    (void)signal(SIGINT, SIG_IGN); /* the terminal tells the command as well */
    (void)signal(SIGQUIT, SIG_IGN);
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return complain("cannot wait for %s: %s", argv[0], strerror(errno));
    }
    child_pid = 0;
    (void)signal(SIGTERM, SIG_IGN); /* it ends anyway, and what is still to be done is not to be */
    (void)signal(SIGHUP, SIG_IGN);  /* interrupted: the router's unit sends SIGHUP as it ends */
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Up to `size` bytes of what the daemons complained about, from the user's journal. */
static size_t read_journal(const char *pattern, char *buf, size_t size)
{
    size_t len = 0;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return 0;
    pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)execlp("journalctl", "journalctl", "--user", "--quiet", "--no-pager", "--output=cat",
                     "--priority=err", "--lines=20", "--unit", pattern, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    while (len < size) {
        const ssize_t n = read(fds[0], buf + len, size - len);

        if (n <= 0 && !(n < 0 && errno == EINTR))
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    (void)close(fds[0]);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return len;
}

/* While the units still have a name. A user cannot ask journald whether it has written what it was
 * sent, so the journal is read until it says something and then nothing new, for two seconds at
 * most. */
static void show_journal(const struct instance *in)
{
    const struct timespec pause = { .tv_nsec = 200000000 };
    CLEANUP(freep) char *pattern = NULL;
    static char buf[2][8192];
    size_t len[2] = { 0, 0 };

    if (format(&pattern, "flux-%s-%s", in->name, "*.service") < 0)
        return;
    for (int i = 0; i < 10; i++) {
        len[i % 2] = read_journal(pattern, buf[i % 2], sizeof(buf[0]));
        if (len[0] > 0 && len[0] == len[1])
            break;
        (void)nanosleep(&pause, NULL);
    }
    (void)fwrite(buf[len[1] > len[0]], 1, len[1] > len[0] ? len[1] : len[0], stderr);
}

int userinstance_run(const struct supervisor_options *o, bool verbose)
{
    struct instance in = { .written = false };
    flux_error_t error = { "" };
    int status;

    if (bring_up(&in, o, &error) < 0) {
        status = complain("%s", error.text);
        if (in.written) {
            show_journal(&in);
            fprintf(stderr, "Try `journalctl --user -u 'flux-%s-*'`, or `flux start --embedded`.\n",
                    in.name);
        }
    } else {
        if (verbose)
            fprintf(stderr, "flux-supervise: systemctl --user status 'flux-%s-*'\n", in.name);
        status = run_command(&in, o->argv);
        leave_wait(in.rundir);
    }
    take_down(&in);
    instance_deinit(&in);
    return status;
}
