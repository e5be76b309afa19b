/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What all back ends share: the record of each shell, its pidfd, and the moment it ends.
 *
 * Invariants: a launch with pid > 0 has a record on disk; a pid is used only through its pidfd,
 * which was opened while the process was our child or was checked against the start time
 * afterwards, so a number that came to mean another process is never signalled. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/errorx.h"
#include "base/fluid.h"
#include "launch_impl.h"
#include "proc.h"
#include "service/log.h"
#include "tmpdir.h"

static const struct launch_backend *const backends[] = { &launch_spawn, &launch_user_unit,
                                                         &launch_imp };

static int open_records(const char *rundir, flux_error_t *error)
{
    CLEANUP(freep) char *path = NULL;
    int fd;

    if (asprintf(&path, "%s/jobs", rundir) < 0)
        return -ENOMEM;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errorx_fail(error, errno, "cannot create %s: %s", path, strerror(errno));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? errorx_fail(error, errno, "cannot open %s: %s", path, strerror(errno)) : fd;
}

int launcher_new(const struct launcher_config *config, struct launcher **ret, flux_error_t *error)
{
    CLEANUP(launcher_freep) struct launcher *l = calloc(1, sizeof(*l));
    const char *name = config->backend && config->backend[0] ? config->backend : "spawn";
    const struct launch_backend *backend = NULL;
    int rc;

    if (!l)
        return -ENOMEM;
    l->records = -EBADF;
    l->reactor = config->reactor;
    l->events = config->events;
    for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
        if (strcmp(backends[i]->name, name) == 0)
            backend = backends[i];
    if (!backend)
        return errorx_fail(error, EINVAL, "FLUX_EXEC_LAUNCH=%s: must be spawn, user-unit or imp",
                           name);
    l->rundir = strdup(config->rundir);
    if (!l->rundir || asprintf(&l->uri, "local://%s/local", config->rundir) < 0)
        return -ENOMEM;
    rc = open_records(config->rundir, error);
    if (rc < 0)
        return rc;
    l->records = rc;
    if (backend->init && (rc = backend->init(l, error)) < 0)
        return rc;
    l->backend = backend;
    *ret = TAKE(l);
    return 0;
}

struct launcher *launcher_free(struct launcher *l)
{
    if (l) {
        if (l->backend && l->backend->deinit)
            l->backend->deinit(l);
        if (l->records >= 0)
            record_drop_free(l->records);
        closep(&l->records);
        free(l->uri);
        free(l->rundir);
        free(l);
    }
    return NULL;
}

const char *launcher_name(const struct launcher *l)
{
    return l->backend->name;
}

const struct forks *launcher_forks(const struct launcher *l)
{
    return l->backend->forks ? l->backend->forks(l) : NULL;
}

int launcher_records(const struct launcher *l)
{
    return l->records;
}

static int launch_new(struct launcher *l, flux_jobid_t id, uint32_t userid, void *arg,
                      struct launch **ret)
{
    struct launch *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->l = l;
    p->id = id;
    p->userid = userid;
    p->arg = arg;
    p->pidfd = -EBADF;
    *ret = p;
    return 0;
}

struct launch *launch_free(struct launch *p)
{
    if (p) {
        if (p->data && p->l->backend->forget)
            p->l->backend->forget(p);
        flux_watcher_destroy(p->w);
        closep(&p->pidfd);
        free(p);
    }
    return NULL;
}

pid_t launch_pid(const struct launch *p)
{
    return p->pid;
}

int launch_signal_all(struct launch *p, bool shell_known, int signum)
{
    char f58[32];
    const struct proc_job job = {
        .shell = p->pid,
        .shell_known = shell_known,
        .uri = fluid_encode(f58, sizeof(f58), p->id, FLUID_F58) == 0 ? p->l->uri : NULL,
        .id = f58,
        .mark = p->mark,
    };

    return proc_signal_job(&job, signum);
}

/* The shell of ours has ended: its status, and an end to what it left behind if it could not see to
 * that itself. While the zombie is not reaped its session cannot be confused with another. */
static int collect_child(struct launch *p)
{
    siginfo_t si = { .si_pid = 0 };

    if (waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -1;
    if (si.si_code != CLD_EXITED)
        (void)launch_signal_all(p, true, SIGKILL);
    if (waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED | WNOHANG) < 0)
        return -1;
    return si.si_code == CLD_EXITED ? (si.si_status & 0xff) << 8
                                    : si.si_status | (si.si_code == CLD_DUMPED ? 0x80 : 0);
}

static void on_pidfd(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct launch *p = arg;
    int status = -1;

    flux_watcher_stop(w);
    if (p->is_child)
        status = collect_child(p);
    else
        (void)launch_signal_all(p, false, SIGKILL);
    if (status < 0 || WIFSIGNALED(status))
        tmpdir_remove(p->l->rundir, p->id);
    p->l->events.on_exited(p->arg, status);
}

static int watch_pid(struct launch *p)
{
    p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (p->pidfd < 0)
        return errno == EINVAL ? -ESRCH : -errno; /* EINVAL: now a thread has that number */
    p->w = flux_fd_watcher_create(p->l->reactor, p->pidfd, FLUX_POLLIN, on_pidfd, p);
    if (!p->w)
        return -errno;
    flux_watcher_start(p->w);
    return 0;
}

void launch_failed(struct launch *p, int errnum, const char *fmt, ...)
{
    flux_error_t error;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(error.text, sizeof(error.text), fmt, ap);
    va_end(ap);
    p->data = NULL;
    p->l->events.on_failed(p->arg, errnum, error.text);
}

/* As a record has it: "-" where it cannot be read (a sandbox without /proc/sys). */
static const char *boot_id(void)
{
    return proc_boot_id()[0] ? proc_boot_id() : "-";
}

static int record_launch(struct launch *p)
{
    struct record rec = { .pid = p->pid, .userid = p->userid };
    struct proc_stat st;
    int rc = proc_stat_read(p->pid, &st);

    if (rc < 0)
        return rc;
    rec.starttime = st.starttime;
    if (p->l->backend->marks) {
        p->mark = proc_mark(p->pid, st.starttime);
        rc = proc_mark_set(p->pid, p->mark);
        if (rc < 0)
            log_debug("job %" PRIu64 ": its shell goes unmarked: %s", p->id, strerror(-rc));
    }
    (void)snprintf(rec.boot_id, sizeof(rec.boot_id), "%s", boot_id());
    (void)record_remove(p->l->records, p->id); /* of a shell that is known to be gone */
    return record_write(p->l->records, p->id, &rec);
}

/* A shell that we cannot watch or keep a record of. It was not told yet what to run. */
static void end_unwatched(struct launch *p)
{
    if (p->is_child) {
        (void)kill(p->pid, SIGKILL);
        (void)waitpid(p->pid, NULL, 0); /* does not take long */
    } else {
        (void)p->l->backend->signal(p, SIGKILL);
    }
}

void launch_got_pid(struct launch *p, pid_t pid, bool is_child)
{
    int rc;

    p->data = NULL;
    if (pid <= 0) {
        p->l->events.on_exited(p->arg, -1);
        return;
    }
    p->pid = pid;
    p->is_child = is_child;
    rc = watch_pid(p);
    if (rc == 0)
        rc = record_launch(p);
    if (rc < 0 && (rc != -ESRCH || is_child))
        end_unwatched(p);
    if (rc == -ESRCH && !is_child) { /* it was quicker than we */
        flux_watcher_stop(p->w);
        p->l->events.on_exited(p->arg, -1);
    } else if (rc < 0) {
        flux_watcher_stop(p->w);
        launch_failed(p, -rc, "cannot watch the job shell and keep a record of it in %s/jobs: %s",
                      p->l->rundir, strerror(-rc));
    } else {
        p->l->events.on_started(p->arg);
    }
}

int launch_start(struct launcher *l, const struct launch_request *req, void *arg,
                 struct launch **ret)
{
    struct launch *p;
    const int rc = launch_new(l, req->id, req->userid, arg, &p);

    if (rc < 0)
        return rc;
    *ret = p; /* before the callbacks, which may free it */
    l->backend->start(p, req);
    return 0;
}

int launch_adopt(struct launcher *l, flux_jobid_t id, const struct record *rec, void *arg,
                 struct launch **ret)
{
    CLEANUP(launch_freep) struct launch *p = NULL;
    struct proc_stat st;
    int rc = launch_new(l, id, rec->userid, arg, &p);

    if (rc < 0)
        return rc;
    p->pid = rec->pid;
    p->mark = l->backend->marks ? proc_mark(rec->pid, rec->starttime) : 0;
    if (strcmp(rec->boot_id, boot_id()) != 0)
        return -ESRCH;
    if ((rc = watch_pid(p)) < 0)
        return rc;
    rc = proc_stat_read(rec->pid, &st);
    if (rc < 0 || st.starttime != rec->starttime || st.state == 'Z')
        return -ESRCH;
    *ret = TAKE(p);
    return 0;
}

int launch_signal(struct launch *p, int signum)
{
    return p->pid > 0 ? p->l->backend->signal(p, signum) : -ESRCH;
}

int launcher_list(struct launcher *l, launcher_list_f cb, void *arg)
{
    int rc;

    if (l->backend->list)
        return l->backend->list(l, cb, arg);
    rc = record_each(l->records, cb, arg);
    if (rc == 0)
        cb(0, arg);
    return rc;
}

static int purge_by_record(struct launcher *l, flux_jobid_t id)
{
    struct record rec;
    struct proc_stat st;
    const int rc = record_read(l->records, id, &rec);

    if (rc < 0)
        return rc;
    if (strcmp(rec.boot_id, boot_id()) == 0) {
        const bool alive = proc_stat_read(rec.pid, &st) == 0 && st.starttime == rec.starttime;

        struct launch p = { .l = l, .id = id, .pid = rec.pid };

        p.mark = l->backend->marks ? proc_mark(rec.pid, rec.starttime) : 0;
        (void)launch_signal_all(&p, alive, SIGKILL);
    }
    return 0;
}

int launcher_sweep(struct launcher *l, flux_jobid_t id)
{
    return l->backend->purge ? l->backend->purge(l, id) : purge_by_record(l, id);
}

int launcher_purge(struct launcher *l, flux_jobid_t id)
{
    const int rc = launcher_sweep(l, id);

    (void)record_remove(l->records, id);
    tmpdir_remove(l->rundir, id);
    return rc;
}
