/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc/PID/stat, the boot id, and signals to a whole session. The command name in stat may hold
 * anything, parentheses and newlines included: fields are counted from the last ')'.
 *
 * A scan of /proc costs some milliseconds on a full node, so it is done when something went wrong
 * or is to be killed, never in the course of an ordinary job. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
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
        else if ((field == 6 || field == 22) && number_parse_u64(word, UINT64_MAX, &n) < 0)
            return -EPROTO;
        if (field == 6)
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

static int signal_pid(pid_t pid, int signum, pid_t sid)
{
    CLEANUP(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct proc_stat st;

    if (fd < 0)
        return -errno;
    /* Once the descriptor is held the number cannot come to mean another process unseen: look
     * again whether this is the one. */
    if (proc_stat_read(pid, &st) < 0 || st.session != sid)
        return -ESRCH;
    return syscall(SYS_pidfd_send_signal, fd, signum, NULL, 0) < 0 ? -errno : 0;
}

int proc_signal_session(pid_t sid, int signum, bool leader_known)
{
    struct proc_stat st;
    struct dirent *e;
    DIR *d;
    int count = 0;

    if (sid < 2)
        return -EINVAL;
    if (!leader_known && proc_stat_read(sid, &st) == 0)
        return 0;
    d = opendir("/proc");
    if (!d)
        return -errno;
    while ((e = readdir(d))) {
        uint64_t pid;

        if (number_parse_u64(e->d_name, INT32_MAX, &pid) < 0 || proc_stat_read(pid, &st) < 0 ||
            st.session != sid || st.state == 'Z')
            continue;
        if (signal_pid((pid_t)pid, signum, sid) == 0)
            count++;
    }
    (void)closedir(d);
    return count;
}
