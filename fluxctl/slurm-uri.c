/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The router that srun has started as the first task of a step is told by its environment, which
 * its user may read. Slurm itself is asked nothing but to run this command on the job's first node.
 */
#include "slurm-uri.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "supervise/unitfile.h"

#define PREFIX       "slurm:"
#define HERE         "FLUX_SLURM_HERE" /* srun has brought us where it should be */
#define ENVIRON_SIZE (1u << 20)

struct target {
    char job[24], step[24]; /* step "": any */
};

bool slurm_target(const char *target)
{
    return strncmp(target, PREFIX, strlen(PREFIX)) == 0;
}

static int parse(const char *text, struct target *t)
{
    const char *p = text + strlen(PREFIX);
    const size_t n = strspn(p, "0123456789");
    const char *step = p[n] == '.' ? p + n + 1 : p + n;
    const size_t k = strspn(step, "0123456789");

    if (n == 0 || step[k] || (p[n] == '.' && k == 0) || n >= sizeof(t->job) ||
        k >= sizeof(t->step)) {
        complain("%s: expected slurm:JOB or slurm:JOB.STEP, with numbers", text);
        return -1;
    }
    (void)snprintf(t->job, sizeof(t->job), "%.*s", (int)n, p);
    (void)snprintf(t->step, sizeof(t->step), "%s", step);
    return 0;
}

/* --- on this host */

static bool is_router(const char *pid)
{
    char path[64], exe[PATH_MAX];
    const char *name;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%.16s/exe", pid);
    n = readlink(path, exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    name = strrchr(exe, '/');
    return name && strcspn(name, " ") == strlen("/flux-broker") &&
           strncmp(name, "/flux-broker", strlen("/flux-broker")) == 0;
}

/* NAME=VALUE strings one after the other; malloc'd, with two NULs behind. */
static char *read_environ(const char *pid)
{
    CLEANUP(freep) char *text = malloc(ENVIRON_SIZE);
    CLEANUP(closep) int fd = -EBADF;
    size_t used = 0;
    char path[64];
    ssize_t n = 1;

    (void)snprintf(path, sizeof(path), "/proc/%.16s/environ", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!text || fd < 0)
        return NULL;
    while (n > 0 && used < ENVIRON_SIZE - 2) {
        n = read(fd, text + used, ENVIRON_SIZE - 2 - used);
        used += n > 0 ? (size_t)n : 0;
    }
    text[used] = text[used + 1] = '\0';
    return TAKE(text);
}

static const char *value_of(const char *environment, const char *name)
{
    const size_t n = strlen(name);

    for (const char *p = environment; *p; p += strlen(p) + 1)
        if (strncmp(p, name, n) == 0 && p[n] == '=')
            return p + n + 1;
    return NULL;
}

static bool is_equal(const char *environment, const char *name, const char *value)
{
    const char *s = value_of(environment, name);

    return s && strcmp(s, value) == 0;
}

/* Instances within that instance have inherited the number of Slurm's job. */
static char *uri_of(const char *pid, const struct target *t)
{
    CLEANUP(freep) char *env = is_router(pid) ? read_environ(pid) : NULL;
    const char *rundir = env ? value_of(env, "FLUX_RUNDIR") : NULL;
    char host[256] = "", *uri;

    if (!rundir || rundir[0] != '/' || value_of(env, "FLUX_URI") ||
        value_of(env, "FLUX_ENCLOSING_ID") || !is_equal(env, "SLURM_JOB_ID", t->job) ||
        !is_equal(env, "SLURM_PROCID", "0") ||
        (t->step[0] && !is_equal(env, "SLURM_STEP_ID", t->step)) ||
        gethostname(host, sizeof(host) - 1) < 0)
        return NULL;
    return asprintf(&uri, "ssh://%s%s/local", host, rundir) < 0 ? NULL : uri;
}

static char *find_here(const struct target *t)
{
    DIR *dir = opendir("/proc");
    struct dirent *d;
    char *uri = NULL;

    while (dir && !uri && (d = readdir(dir)))
        if (isdigit((unsigned char)d->d_name[0]))
            uri = uri_of(d->d_name, t);
    if (dir)
        (void)closedir(dir);
    return uri;
}

/* --- on the job's first node */

/* "srun ... fluxctl WORDS..." */
static char **srun_command(const struct target *t, bool terminal, char *const *words)
{
    static const char *const options[] = { "--overlap",
                                           "--nodes=1",
                                           "--ntasks=1",
                                           "--relative=0",
                                           "--quiet",
                                           "--mpi=none",
                                           "--export=ALL," HERE "=1" };
    CLEANUP(strv_freep) char **argv = NULL;
    char self[PATH_MAX], job[40];
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int rc = len > 0 ? strv_append(&argv, "srun") : -errno;

    self[len > 0 ? len : 0] = '\0';
    (void)snprintf(job, sizeof(job), "--jobid=%s", t->job);
    if (rc == 0)
        rc = strv_append(&argv, job);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(options); i++)
        rc = strv_append(&argv, options[i]);
    if (rc == 0 && terminal)
        rc = strv_append(&argv, "--pty");
    if (rc == 0)
        rc = strv_append(&argv, self);
    for (size_t i = 0; rc == 0 && words[i]; i++)
        rc = strv_append(&argv, words[i]);
    if (rc < 0)
        complain("cannot tell how to run srun: %s", strerror(-rc));
    return rc < 0 ? NULL : TAKE(argv);
}

__attribute__((noreturn)) static void run_srun(char *const *argv, int out)
{
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
        (void)execvp(argv[0], argv);
    fprintf(stderr, "flux-uri: cannot run srun: %s\n", strerror(errno));
    _exit(127);
}

/* The line that it prints; malloc'd, NULL: it has said why there is none. */
static char *ask_srun(char *const *argv)
{
    CLEANUP(fclosep) FILE *f = NULL;
    char *line = NULL;
    size_t size = 0;
    int fds[2], status;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return NULL;
    pid = fork();
    if (pid == 0)
        run_srun(argv, fds[1]);
    (void)close(fds[1]);
    f = fdopen(fds[0], "r");
    if (f && getline(&line, &size, f) > 0)
        line[strcspn(line, "\n")] = '\0';
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0 && line && strncmp(line, "ssh://", 6) == 0)
        return line;
    free(line);
    return NULL;
}

char *slurm_uri_find(const char *target)
{
    char *const words[] = { "uri", "--remote", (char *)target, NULL };
    CLEANUP(strv_freep) char **argv = NULL;
    struct target t;
    char *uri;

    if (parse(target, &t) < 0)
        return NULL;
    uri = find_here(&t);
    if (!uri && !getenv(HERE)) {
        argv = srun_command(&t, false, words);
        uri = argv ? ask_srun(argv) : NULL;
    }
    (void)unsetenv(HERE); /* what is run from here may ask anew */
    if (!uri)
        complain("there is no instance of yours in %s", target);
    return uri;
}

int slurm_go_there(const char *target, char *const *words)
{
    CLEANUP(strv_freep) char **argv = NULL;
    CLEANUP(freep) char *uri = NULL;
    struct target t;

    if (parse(target, &t) < 0)
        return EXIT_FAILURE;
    uri = find_here(&t);
    if (uri || getenv(HERE))
        return EXIT_SUCCESS;
    argv = srun_command(&t, isatty(STDIN_FILENO) != 0, words);
    if (!argv)
        return EXIT_FAILURE;
    (void)execvp(argv[0], argv);
    return complain("%s is not on this host, and srun cannot be run: %s", target, strerror(errno));
}
