/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc/PID/stat, the boot id, and signals to all processes of a job. The command name in stat may
 * hold anything, parentheses and newlines included: fields are counted from the last ')'.
 *
 * A scan of /proc costs some milliseconds on a full node, so it is done when something went wrong
 * or is to be killed, never in the course of an ordinary job. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "proc.h"
#include "record.h"

/* Fields after the command name: 3 state, 4 ppid, 5 pgrp, 6 session, ... 22 starttime. */
int proc_stat_parse(const char *text, size_t len, struct proc_stat *ret)
{
    const char *p = memrchr(text, ')', len);
    const char *end = text + len;
    struct proc_stat st = { .state = '\0' };

    if (!p || end - p < 4 || p[1] != ' ')
        return -EPROTO;
    p += 2;
    for (int field = 3; field <= 22; field++) {
        const char *space = memchr(p, ' ', end - p);
        char word[24];
        uint64_t n = 0;

        if (!space || space == p || (size_t)(space - p) >= sizeof(word))
            return -EPROTO;
        memcpy(word, p, space - p);
        word[space - p] = '\0';
        if (field == 3)
            st.state = word[0];
        else if ((field == 4 || field == 5 || field == 6 || field == 22) &&
                 number_parse_u64(word, UINT64_MAX, &n) < 0)
            return -EPROTO;
        if (field == 4)
            st.ppid = (pid_t)n;
        else if (field == 5)
            st.pgrp = (pid_t)n;
        else if (field == 6)
            st.session = (pid_t)n;
        else if (field == 22)
            st.starttime = n;
        p = space + 1;
    }
    *ret = st;
    return 0;
}

static int read_file(const char *path, char *buf, size_t size)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, buf, size);
    return n < 0 ? -errno : (int)n;
}

int proc_stat_read(pid_t pid, struct proc_stat *ret)
{
    char path[32], text[1024];
    int n;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    n = read_file(path, text, sizeof(text));
    if (n == -ENOENT)
        return -ESRCH;
    return n < 0 ? n : proc_stat_parse(text, (size_t)n, ret);
}

const char *proc_boot_id(void)
{
    static char id[RECORD_BOOTID_SIZE];

    if (!id[0]) {
        const int n = read_file("/proc/sys/kernel/random/boot_id", id, sizeof(id) - 1);

        id[n > 0 ? n : 0] = '\0';
        id[strcspn(id, " \n")] = '\0';
    }
    return id;
}

bool proc_environ_has(const char *env, size_t size, const char *name, const char *value)
{
    const size_t name_len = strlen(name), value_len = strlen(value);

    for (const char *p = env; p < env + size;) {
        const size_t left = (size_t)(env + size - p);
        const size_t len = strnlen(p, left);

        if (len == name_len + 1 + value_len && memcmp(p, name, name_len) == 0 &&
            p[name_len] == '=' && memcmp(p + name_len + 1, value, value_len) == 0)
            return true;
        p += len < left ? len + 1 : left;
    }
    return false;
}

#define PID_BITS 22 /* PID_MAX_LIMIT */

uint64_t proc_mark(pid_t shell, uint64_t starttime)
{
    const uint64_t top = UINT64_C(1) << 40; /* 300 years of clock ticks */

    return (top - (starttime & (top - 1))) << PID_BITS | (uint64_t)shell;
}

int proc_mark_set(pid_t shell, uint64_t mark)
{
    const struct rlimit limit = { .rlim_cur = mark, .rlim_max = mark };

    return prlimit(shell, RLIMIT_LOCKS, &limit, NULL) < 0 ? -errno : 0;
}

static bool is_marked(const struct proc_job *job, pid_t pid)
{
    struct rlimit limit;

    return job->mark && prlimit(pid, RLIMIT_LOCKS, NULL, &limit) == 0 &&
           limit.rlim_max == job->mark;
}

/* A process seen in a scan. */
struct seen {
    pid_t pid;
    struct proc_stat st;
    bool ours;
};

struct scan {
    struct seen *list;
    size_t n, capacity;
};

static void scan_deinit(struct scan *scan)
{
    free(scan->list);
}

static int scan_add(struct scan *scan, pid_t pid, const struct proc_stat *st)
{
    if (scan->n == scan->capacity) {
        const size_t capacity = scan->capacity ? scan->capacity * 2 : 256;
        struct seen *grown = reallocarray(scan->list, capacity, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        scan->list = grown;
        scan->capacity = capacity;
    }
    scan->list[scan->n++] = (struct seen){ .pid = pid, .st = *st };
    return 0;
}

static int scan_all(struct scan *scan)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    int rc = d ? 0 : -errno;

    while (rc == 0 && (e = readdir(d))) {
        struct proc_stat st;
        uint64_t pid;

        if (number_parse_u64(e->d_name, INT32_MAX, &pid) == 0 && pid > 1 &&
            proc_stat_read((pid_t)pid, &st) == 0 && st.state != 'Z' && st.state != 'X')
            rc = scan_add(scan, (pid_t)pid, &st);
    }
    if (d)
        (void)closedir(d);
    return rc;
}

/* Another user's environment cannot be read: then it is not a process of ours. */
static bool named_by_environment(const struct proc_job *job, pid_t pid)
{
    static char env[128 * 1024];
    char path[32];
    int n;

    if (!job->uri)
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    n = read_file(path, env, sizeof(env));
    return n > 0 && proc_environ_has(env, (size_t)n, "FLUX_URI", job->uri) &&
           proc_environ_has(env, (size_t)n, "FLUX_JOB_ID", job->id);
}

/* Descendants of what is marked, level by level. */
static void mark_descendants(struct scan *scan)
{
    bool more = true;

    while (more) {
        more = false;
        for (size_t i = 0; i < scan->n; i++) {
            struct seen *child = &scan->list[i];

            for (size_t j = 0; j < scan->n && !child->ours; j++)
                if (scan->list[j].ours && scan->list[j].pid == child->st.ppid)
                    more = child->ours = true;
        }
    }
}

static void mark(struct scan *scan, const struct proc_job *job)
{
    /* A process with the shell's number that is not the shell: its session is another one too. */
    bool reused = false;

    for (size_t i = 0; i < scan->n; i++)
        reused = reused || (!job->shell_known && scan->list[i].pid == job->shell);
    for (size_t i = 0; i < scan->n; i++) {
        struct seen *p = &scan->list[i];

        p->ours = (!reused && (p->pid == job->shell || p->st.session == job->shell)) ||
                  is_marked(job, p->pid) || named_by_environment(job, p->pid);
    }
    mark_descendants(scan);
}

static int signal_pid(const struct seen *p, int signum)
{
    CLEANUP(closep) int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    struct proc_stat st;

    if (fd < 0)
        return -errno;
    /* Once the descriptor is held the number cannot come to mean another process unseen: look
     * again whether this is the one. */
    if (proc_stat_read(p->pid, &st) < 0 || st.starttime != p->st.starttime)
        return -ESRCH;
    return syscall(SYS_pidfd_send_signal, fd, signum, NULL, 0) < 0 ? -errno : 0;
}

/* One look and one signal to each. The shell last: while it lives its descendants stay its. */
static int signal_once(const struct proc_job *job, int signum)
{
    CLEANUP(scan_deinit) struct scan scan = { .n = 0 };
    const struct seen *shell = NULL;
    int count = 0, rc = scan_all(&scan);

    if (rc < 0)
        return rc;
    mark(&scan, job);
    for (size_t i = 0; i < scan.n; i++) {
        if (!scan.list[i].ours || scan.list[i].pid == getpid())
            continue;
        if (scan.list[i].pid == job->shell)
            shell = &scan.list[i];
        else if (signal_pid(&scan.list[i], signum) == 0)
            count++;
    }
    /* With SIGKILL the shell waits until a look finds nothing else. */
    if (shell && (signum != SIGKILL || count == 0) && signal_pid(shell, signum) == 0)
        count++;
    return count;
}

#define ROUNDS_MAX 8 /* a fork bomb: what is left dies with the next kill-timeout */

int proc_signal_job(const struct proc_job *job, int signum)
{
    int count = 0, rc;

    if (job->shell < 2)
        return -EINVAL;
    for (int i = 0; i < ROUNDS_MAX; i++) {
        rc = signal_once(job, signum);
        if (rc < 0)
            return rc;
        count += rc;
        if (signum != SIGKILL || rc == 0)
            break;
    }
    return count;
}

static bool has_leader(const struct scan *scan, pid_t leader, uint64_t starttime)
{
    for (size_t i = 0; i < scan->n; i++)
        if (scan->list[i].pid == leader && scan->list[i].st.starttime == starttime)
            return true;
    return false;
}

/* What the leader forked before it was marked has no mark. While the leader is there its number
 * means no other group, nor does it afterwards until the last of the group has gone. */
int proc_kill_group(pid_t leader, uint64_t starttime)
{
    const struct proc_job job = { .mark = proc_mark(leader, starttime) };
    bool known = false;
    int total = 0;

    for (int round = 0; round < ROUNDS_MAX; round++) {
        CLEANUP(scan_deinit) struct scan scan = { .n = 0 };
        int count = 0, rc = scan_all(&scan);

        if (rc < 0)
            return rc;
        known = known || has_leader(&scan, leader, starttime);
        for (size_t i = 0; i < scan.n; i++) {
            const struct seen *p = &scan.list[i];

            if (p->st.pgrp == leader && (known || is_marked(&job, p->pid)) &&
                signal_pid(p, SIGKILL) == 0)
                count++;
        }
        if (count == 0)
            break;
        total += count;
    }
    return total;
}
