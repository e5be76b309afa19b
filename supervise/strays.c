/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Finding our children: the kernel's list if it keeps one, else every process whose parent we are.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervise/strays.h"

bool strays_exist(void)
{
    siginfo_t si;

    return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static bool signal_listed(int sig)
{
    CLEANUP(fclosep) FILE *f = NULL;
    char path[64];
    int pid;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "re");
    if (!f)
        return false;
    while (fscanf(f, "%d", &pid) == 1)
        (void)kill(pid, sig);
    return true;
}

static pid_t parent_of(const char *pid)
{
    CLEANUP(fclosep) FILE *f = NULL;
    char path[64], buf[512];
    const char *p;
    int parent = -1;

    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    f = fopen(path, "re");
    if (f && fgets(buf, sizeof(buf), f) && (p = strrchr(buf, ')')))
        (void)sscanf(p, ") %*c %d", &parent);
    return parent;
}

static void signal_found(int sig)
{
    DIR *d = opendir("/proc");
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && parent_of(e->d_name) == getpid())
            (void)kill((pid_t)strtol(e->d_name, NULL, 10), sig);
    }
    if (d)
        (void)closedir(d);
}

void strays_signal(int sig)
{
    if (!signal_listed(sig))
        signal_found(sig);
}
