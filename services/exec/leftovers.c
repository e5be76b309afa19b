/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who belongs to a group is known by the mark that its leader was given (proc.h), so a number that
 * came to mean another group harms nobody; what left the group on purpose is spared, as it is when
 * flux-exec ends in good order. A group whose leader is there needs no mark.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "leftovers.h"
#include "proc.h"
#include "record.h"
#include "service/log.h"

struct sweep {
    int dirfd;
    int killed;
};

int leftovers_open(const char *dir)
{
    int fd;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static const char *boot_id(void)
{
    return proc_boot_id()[0] ? proc_boot_id() : "-";
}

int leftovers_note(int dirfd, pid_t pid)
{
    struct record rec = { .pid = pid, .userid = geteuid() };
    struct proc_stat st;
    int rc = proc_stat_read(pid, &st);

    if (rc < 0)
        return rc;
    rec.starttime = st.starttime;
    (void)snprintf(rec.boot_id, sizeof(rec.boot_id), "%s", boot_id());
    (void)proc_mark_set(pid, proc_mark(pid, st.starttime));
    (void)record_remove(dirfd, (flux_jobid_t)pid);
    return record_write(dirfd, (flux_jobid_t)pid, &rec);
}

void leftovers_forget(int dirfd, pid_t pid)
{
    (void)record_remove(dirfd, (flux_jobid_t)pid);
}

static void on_record(flux_jobid_t id, void *arg)
{
    struct sweep *sweep = arg;
    struct record rec;
    int rc;

    if (record_read(sweep->dirfd, id, &rec) == 0 && strcmp(rec.boot_id, boot_id()) == 0) {
        rc = proc_kill_group(rec.pid, rec.starttime);
        if (rc > 0)
            log_warning("process %d was started by a flux-exec that is gone: it and its group were "
                        "killed",
                        (int)rec.pid);
        sweep->killed += rc > 0 ? rc : 0;
    }
    (void)record_remove(sweep->dirfd, id);
}

int leftovers_end(int dirfd)
{
    struct sweep sweep = { .dirfd = dirfd };
    const int rc = record_each(dirfd, on_record, &sweep);

    record_drop_free(dirfd);
    return rc < 0 ? rc : sweep.killed;
}
