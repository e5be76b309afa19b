/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Starting, signalling and collecting tasks. Each task leads a process group; what it leaves behind
 * comes to the shell as the subreaper and is killed once all tasks have ended: no process outlives
 * its job. A command that cannot be started counts as exit code 127 (no such file) or 126, as in
 * sh(1). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/exitcode.h"
#include "base/errorx.h"
#include "base/number.h"
#include "exits.h"
#include "launch.h"
#include "peers.h"
#include "plugins.h"
#include "template.h"

int exit_code_of(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static char *file_name(const struct shell *shell, const char *text, int rank, int index)
{
    const struct shell_info *info = &shell->info;
    CLEANUP(freep) char *name = jobspec_job_name(&info->jobspec);
    const struct template_values v = {
        .id = info->id,
        .name = name,
        .ntasks = info->ntasks,
        .nnodes = info->nshells,
        .node_id = info->shell_rank,
        .node_name = info->here->hostname,
        .task_rank = rank,
        .task_index = index,
        .tmpdir = shell->tmpdir,
    };

    return name ? template_expand(text, &v) : NULL;
}

char *task_file_name(const struct task *task, const char *text)
{
    return template_is_per_task(text) ? file_name(task->shell, text, task->rank, task->index)
                                      : shell_file_name(task->shell, text);
}

char *shell_file_name(const struct shell *shell, const char *text)
{
    return file_name(shell, text, -1, -1);
}

int tasks_create(struct shell *shell, flux_error_t *error)
{
    const int n = shell->info.nlocal;
    unsigned int rank;

    shell->tasks = calloc(n > 0 ? (size_t)n : 1, sizeof(*shell->tasks));
    if (!shell->tasks)
        return errorx_fail(error, ENOMEM, "out of memory for %d tasks", n);
    rank = idset_first(shell->info.tasks);
    for (int i = 0; i < n; i++) {
        struct task *task = &shell->tasks[i];

        *task = (struct task){ .shell = shell, .rank = (int)rank, .index = i, .pmi_fd = -EBADF };
        rank = idset_next(shell->info.tasks, rank);
        for (int j = 0; j < 3; j++)
            task->fds[j] = -EBADF;
    }
    return 0;
}

static char **free_argv(char **argv)
{
    for (size_t i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
    return NULL;
}
DEFINE_CLEANUP(char **, free_argv)

/* The command with its tags replaced. */
static char **make_argv(const struct task *task)
{
    const struct shell *shell = task->shell;
    const json_t *command = shell->info.jobspec.command;
    const size_t n = json_array_size(command);
    CLEANUP(free_argvp) char **argv = calloc(n + 1, sizeof(*argv));

    for (size_t i = 0; argv && i < n; i++) {
        const char *arg = json_string_value(json_array_get(command, i));

        argv[i] = file_name(shell, arg, task->rank, task->index);
        if (!argv[i])
            return NULL;
    }
    return TAKE(argv);
}

/* A task that crashed says nothing itself. One that a signal for the job ended is no surprise. */
static void say_killed(struct shell *shell, const struct task_exit *x)
{
    const int node = taskmap_node(shell->info.taskmap, x->rank);
    const struct rset_rank *rank = rset_nth(shell->info.rset, node < 0 ? 0 : (size_t)node);
    const bool where = shell->info.nshells > 1 && rank && rank->hostname;

    shell_log(shell, LOG_ERR, "task %d%s%s: %s%s", x->rank, where ? " on " : "",
              where ? rank->hostname : "", strsignal(WTERMSIG(x->wait_status)),
              WCOREDUMP(x->wait_status) ? " (core dumped)" : "");
}

static void log_task_exit(struct shell *shell, const struct task_exit *x)
{
    const int st = x->wait_status;

    if (shell->first_failure_logged || st == 0)
        return;
    shell->first_failure_logged = true;
    (void)logs_event(shell->logs, LOGS_EXEC, "shell.task-exit", "{s:i s:i s:s s:i s:i s:i s:i}",
                     "localid", x->index, "rank", x->rank, "state", "Exited", "pid", x->pid,
                     "wait_status", st, "signaled", WIFSIGNALED(st) ? WTERMSIG(st) : 0, "exitcode",
                     exit_code_of(st));
    if (WIFSIGNALED(st) && !shell->told_to_end)
        say_killed(shell, x);
}

void shell_note_exit_code(struct shell *shell, int exit_code)
{
    if (exitcode_is_worse(exit_code, shell->exit_code))
        shell->exit_code = exit_code;
}

void shell_task_exited(struct shell *shell, const struct task_exit *x)
{
    shell->nexited++;
    shell_note_exit_code(shell, exit_code_of(x->wait_status));
    log_task_exit(shell, x);
    exits_note(shell, x->rank, exit_code_of(x->wait_status));
}

static void task_ended(struct task *task, int wait_status)
{
    struct shell *shell = task->shell;
    const int code = exit_code_of(wait_status);
    const struct task_exit x = { task->rank, task->index, (int)task->pid, wait_status };

    task->state = TASK_EXITED;
    task->wait_status = wait_status;
    shell_note_exit_code(shell, code);
    if (peers_is_leader(shell))
        shell_task_exited(shell, &x);
    else
        peers_tell_exit(task);
    shell_verbose(shell, 2, "task %d: process %d ended with exit code %d", task->rank,
                  (int)task->pid, code);
    plugins_task_exit(task);
}

static void not_started(struct task *task, const char *command, int errnum)
{
    char note[256];

    (void)snprintf(note, sizeof(note), "task %d: start failed: %s: %s", task->rank, command,
                   strerror(errnum));
    shell_log(task->shell, LOG_ERR, "%s", note);
    shell_raise(task->shell, note); /* the first one says it for all */
    task_ended(task, (errnum == ENOENT || errnum == ENOTDIR ? 127 : 126) << 8);
}

static void start(struct task *task, char *const argv[])
{
    CLEANUP(freep) char **envp = env_strings(&task->env);
    const int rc = envp ? launch_task(task, argv, envp) : -ENOMEM;

    for (int i = 0; i < 3; i++) {
        closep(&task->fds[i]);
        task->fds[i] = -EBADF;
    }
    closep(&task->pmi_fd);
    task->pmi_fd = -EBADF;
    env_deinit(&task->env);
    if (rc < 0) {
        not_started(task, argv[0], -rc);
        return;
    }
    task->state = TASK_RUNNING;
    task->shell->nrunning++;
    shell_verbose(task->shell, 2, "task %d: started as process %d", task->rank, (int)task->pid);
    plugins_task_fork(task);
}

void tasks_start(struct shell *shell)
{
    const char *path = env_get(&shell->env, "PATH");

    if (path) /* where posix_spawnp() looks */
        (void)setenv("PATH", path, 1);
    else
        (void)unsetenv("PATH");
    for (int i = 0; i < shell->info.nlocal; i++) {
        struct task *task = &shell->tasks[i];
        CLEANUP(free_argvp) char **argv = make_argv(task);
        flux_error_t error = { .text = "" };

        if (!argv) {
            shell_fatal(shell, 126, "out of memory");
            return;
        }
        if (env_copy(&shell->env, &task->env) < 0 || plugins_task_init(task, &error) < 0) {
            shell_fatal(shell, 1, "task %d: %s", task->rank,
                        error.text[0] ? error.text : "out of memory");
            return;
        }
        start(task, argv);
    }
}

void tasks_signal(struct shell *shell, int signum)
{
    for (int i = 0; i < shell->info.nlocal; i++)
        if (shell->tasks[i].state == TASK_RUNNING)
            (void)launch_signal(&shell->tasks[i], signum);
}

static struct task *find(struct shell *shell, pid_t pid)
{
    for (int i = 0; i < shell->info.nlocal; i++)
        if (shell->tasks[i].state == TASK_RUNNING && shell->tasks[i].pid == pid)
            return &shell->tasks[i];
    return NULL;
}

void tasks_reap(struct shell *shell)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct task *task = find(shell, pid);

        if (task) {
            shell->nrunning--;
            task_ended(task, status);
        }
    }
    shell_check_finished(shell);
}

/* Children of this process, by /proc: tasks are all gone, so these are orphans that came to us. */
bool tasks_kill_orphans(void)
{
    char path[64], line[16 * 1024], *save;
    ssize_t n;
    int fd;

    if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
        return true;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    closep(&fd);
    if (n <= 0)
        return n < 0; /* cannot know: flux-exec kills the session */
    line[n] = '\0';
    if (n == sizeof(line) - 1) /* there are more, and the last number may be cut */
        *strrchr(line, ' ') = '\0';
    for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        int pid;

        if (number_parse_int(word, 2, INT32_MAX, &pid) == 0)
            (void)kill(pid, SIGKILL); /* a child we have not reaped: the number is its */
    }
    return false;
}
