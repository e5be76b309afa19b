/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shells as children, each leader of a session of its own, all signals blocked until the shell has
 * its handlers, marked so that what it starts is found. Executed by posix_spawn, or forked from one
 * that is loaded (forks.h) when many are wanted and the shell is flux-shell itself. Inherited are
 * stderr and a pidfd of our parent, the supervisor: a shell outlives us, but not the instance. The
 * shell runs as the user that flux-exec runs as, so this serves single-user instances only; a job
 * of another user is refused. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>

#include "forks.h"
#include "launch_impl.h"
#include "proc.h"
#include "shell/forkserver.h"

/* What of our own environment a shell gets. The tasks' environment is the job's. */
static const char *const pass[] = { "PATH",
                                    "HOME",
                                    "USER",
                                    "LANG",
                                    "TZ",
                                    "TMPDIR",
                                    "LD_LIBRARY_PATH",
                                    "XDG_RUNTIME_DIR",
                                    "ASAN_OPTIONS",
                                    "UBSAN_OPTIONS" };

#define ENV_MAX       (ARRAY_SIZE(pass) + 4)
#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)
#define FORKS_TIMEOUT 2.  /* seconds */
#define FORKS_IDLE    10. /* seconds */
#define SUPERVISOR_FD 3   /* in the shell; FLUX_SHELL_SUPERVISOR_FD says so */

struct spawn {
    int supervisor; /* a pidfd, or -EBADF: nobody to be watched */
    struct forks *forks;
};

struct shell_env {
    char *strings[ENV_MAX];
    size_t n;
};

static void env_deinit(struct shell_env *env)
{
    for (size_t i = 0; i < env->n; i++)
        free(env->strings[i]);
}

static int env_add(struct shell_env *env, const char *name, const char *value)
{
    if (asprintf(&env->strings[env->n], "%s=%s", name, value) < 0)
        return -ENOMEM;
    env->strings[++env->n] = NULL;
    return 0;
}

static const struct spawn *spawn_of(const struct launcher *l)
{
    return l->data;
}

/* jobid NULL: for a server, whose children know theirs later. It has all its symbols bound. */
static int env_init(struct shell_env *env, const struct launcher *l, const char *jobid)
{
    int rc = env_add(env, "FLUX_URI", l->uri);

    if (rc == 0)
        rc = jobid ? env_add(env, "FLUX_JOB_ID", jobid) : env_add(env, "LD_BIND_NOW", "1");
    if (rc == 0 && spawn_of(l)->supervisor >= 0)
        rc = env_add(env, "FLUX_SHELL_SUPERVISOR_FD", STRINGIFY(SUPERVISOR_FD));
    for (size_t i = 0; i < ARRAY_SIZE(pass) && rc == 0; i++)
        if (getenv(pass[i]))
            rc = env_add(env, pass[i], getenv(pass[i]));
    return rc;
}

static int spawn_prepare(posix_spawnattr_t *attr, posix_spawn_file_actions_t *actions,
                         int supervisor, int server)
{
    sigset_t all;
    int rc;

    sigfillset(&all);
    rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attr, &all);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attr, &all);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, 0, 1);
    if (rc == 0 && supervisor >= 0)
        rc = posix_spawn_file_actions_adddup2(actions, supervisor, SUPERVISOR_FD);
    if (rc == 0 && server >= 0)
        rc = posix_spawn_file_actions_adddup2(actions, server, FORKSERVER_FD);
    return rc;
}

/* supervisor, server: descriptors to be inherited as 3 and 4, or negative. */
static int spawn_shell(const char *path, char *const argv[], char *const envp[], int supervisor,
                       int server, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc != 0)
        return -rc;
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        rc = spawn_prepare(&attr, &actions, supervisor, server);
        if (rc == 0)
            rc = posix_spawn(ret_pid, path, &actions, &attr, argv, envp);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

static void execute(struct launch *p, const char *shell)
{
    CLEANUP(env_deinit) struct shell_env env = { .n = 0 };
    char jobid[24];
    char *argv[] = { (char *)"flux-shell", jobid, NULL };
    pid_t pid;
    int rc;

    (void)snprintf(jobid, sizeof(jobid), "%" PRIu64, p->id);
    rc = env_init(&env, p->l, jobid);
    if (rc == 0)
        rc = spawn_shell(shell, argv, env.strings, spawn_of(p->l)->supervisor, -EBADF, &pid);
    if (rc < 0)
        launch_failed(p, -rc, "cannot start the job shell %s: %s", shell, strerror(-rc));
    else
        launch_got_pid(p, pid, true);
}

static int on_serve(const char *shell, int socket, pid_t *ret_pid, void *arg)
{
    CLEANUP(env_deinit) struct shell_env env = { .n = 0 };
    struct launcher *l = arg;
    char *argv[] = { (char *)"flux-shell", (char *)"--" FORKSERVER_OPTION "=" FORKSERVER_VERSION,
                     NULL };
    const int rc = env_init(&env, l, NULL);

    return rc < 0 ? rc
                  : spawn_shell(shell, argv, env.strings, spawn_of(l)->supervisor, socket, ret_pid);
}

static void on_forked(struct launch *p, const char *shell, pid_t pid)
{
    p->data = NULL;
    if (pid > 0)
        launch_got_pid(p, pid, true);
    else
        execute(p, shell);
}

static void spawn_start(struct launch *p, const struct launch_request *req)
{
    if (req->userid != geteuid()) {
        launch_failed(p, EPERM,
                      "user %u may not run jobs here: this instance runs jobs of its "
                      "owner only",
                      req->userid);
        return;
    }
    if (!req->forks || !forks_ask(spawn_of(p->l)->forks, req->shell, p->id, p, &p->data))
        execute(p, req->shell);
}

static void spawn_forget(struct launch *p)
{
    forks_forget(spawn_of(p->l)->forks, p->data);
}

static int spawn_signal(struct launch *p, int signum)
{
    bool known;
    int count;

    if (signum != SIGKILL && signum != SIGSTOP && signum != SIGCONT)
        return syscall(SYS_pidfd_send_signal, p->pidfd, signum, NULL, 0) < 0 ? -errno : 0;
    /* Known if it lives or is our zombie; an adopted one may be gone and its number reused. */
    known = p->is_child || syscall(SYS_pidfd_send_signal, p->pidfd, 0, NULL, 0) == 0;
    count = launch_signal_all(p, known, signum);
    return count < 0 ? count : 0;
}

static void spawn_deinit(struct launcher *l)
{
    struct spawn *spawn = l->data;

    if (spawn) {
        forks_free(spawn->forks);
        closep(&spawn->supervisor);
        free(spawn);
    }
    l->data = NULL;
}

/* We die with our parent, so while we are here the number is its. */
static int spawn_init(struct launcher *l, flux_error_t *error)
{
    static const struct forks_ops ops = { .serve = on_serve, .on_forked = on_forked };
    const struct forks_config config = {
        .reactor = l->reactor, .ops = &ops, .arg = l, .timeout = FORKS_TIMEOUT, .idle = FORKS_IDLE
    };
    struct spawn *spawn = calloc(1, sizeof(*spawn));
    int rc;

    if (!spawn)
        return -ENOMEM;
    l->data = spawn;
    spawn->supervisor = (int)syscall(SYS_pidfd_open, getppid(), 0);
    rc = forks_new(&config, &spawn->forks);
    if (rc < 0)
        spawn_deinit(l);
    return rc;
}

static const struct forks *spawn_forks(const struct launcher *l)
{
    return spawn_of(l)->forks;
}

const struct launch_backend launch_spawn = {
    .name = "spawn",
    .init = spawn_init,
    .deinit = spawn_deinit,
    .marks = true,
    .start = spawn_start,
    .signal = spawn_signal,
    .forget = spawn_forget,
    .forks = spawn_forks,
};
