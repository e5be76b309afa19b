/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The decision of what happens to a job whose flux-exec, shell, job manager or node went away at
 * any point of its life. Pure: facts in, outcome out. In order of trust: the archive (whoever
 * closed the log has seen the end), a living shell, the shell's own last word, and then the absence
 * of all. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "adopt.h"
#include "base/eventlog.h"

void exec_log_read(const json_t *entries, struct exec_log *ret)
{
    size_t i;
    json_t *entry;

    *ret = (struct exec_log){ .exists = entries != NULL };
    json_array_foreach (entries, i, entry) {
        const char *name;
        json_t *context;
        double t;
        int status;

        if (eventlog_entry_parse(entry, &t, &name, &context) < 0 ||
            json_unpack(context, "{s:i}", "status", &status) < 0)
            continue;
        if (strcmp(name, "complete") == 0) {
            ret->complete = true;
            ret->complete_status = status;
        } else if (strcmp(name, "shell.exit") == 0) {
            ret->shell_exit = true;
            ret->shell_status = status;
        }
    }
}

enum adopt_outcome adopt_decide(const struct adopt_facts *facts, int *ret_status)
{
    *ret_status = 0;
    if (facts->log.complete) {
        *ret_status = facts->log.complete_status;
        return ADOPT_FINISHED;
    }
    if (facts->record && facts->alive)
        return ADOPT_ATTACH;
    if (facts->log.shell_exit) {
        *ret_status = status_from_exit_code(facts->log.shell_status);
        return ADOPT_ARCHIVE;
    }
    if (facts->log.exists || (facts->record ? facts->informed : facts->started)) {
        *ret_status = STATUS_VANISHED;
        return ADOPT_VANISHED;
    }
    return ADOPT_LAUNCH;
}

int status_from_exit_code(int code)
{
    return (code & 0xff) << 8;
}

const char *status_describe(int wait_status, char *buf, size_t size)
{
    if (WIFSIGNALED(wait_status))
        (void)snprintf(buf, size, "signal %d (%s)", WTERMSIG(wait_status),
                       strsignal(WTERMSIG(wait_status)));
    else
        (void)snprintf(buf, size, "exit code %d", WEXITSTATUS(wait_status));
    return buf;
}
