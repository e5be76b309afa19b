/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Processes run on request (RFC 42), with their standard streams. */
#ifndef EXEC_SUBPROCESS_H
#define EXEC_SUBPROCESS_H

#include <jansson.h>
#include <flux/core.h>
#include "base/cleanup.h"

#define SUBPROCESS_STDIN_MAX                                                        \
    (64 * 1024)             /* bytes of input kept for a process that does not read \
                             */
#define SUBPROCESS_MAX 1024 /* processes at a time */

enum subprocess_flags { /* RFC 42 */
                        SUBPROCESS_STDOUT = 1,
                        SUBPROCESS_STDERR = 2,
                        SUBPROCESS_CHANNEL = 4,
                        SUBPROCESS_WRITE_CREDIT = 8,
                        SUBPROCESS_WAITABLE = 16,
};

struct subprocess;
struct subprocesses;

struct subprocess_ops {
    /* size 0 with eof: the end of the stream. */
    void (*on_output)(struct subprocess *sp, const char *stream, const void *data, size_t size,
                      bool eof);
    void (*on_credit)(struct subprocess *sp, size_t bytes); /* stdin was taken by the process */
    void (*on_exited)(struct subprocess *sp, int status);
    void (*on_complete)(struct subprocess *sp); /* exited and all output delivered; may free */
};

struct subprocess_command {
    char **argv;       /* NULL-terminated */
    char **envp;       /* "NAME=value", NULL-terminated */
    const char *cwd;   /* NULL: that of flux-exec */
    const char *label; /* NULL: none; must be unique */
    bool background;   /* no client: stdin is empty, output is dropped */
};

/* records: a directory (leftovers.h), lent; -EBADF: if we are killed they go on. */
int subprocesses_new(flux_reactor_t *r, int records, struct subprocesses **ret);
struct subprocesses *subprocesses_free(struct subprocesses *ps); /* kills them all */
DEFINE_CLEANUP(struct subprocesses *, subprocesses_free)
size_t subprocesses_count(const struct subprocesses *ps);

/* 0 or -errno: -ENOENT, -EACCES... from execve, -EEXIST (label), -EAGAIN (too many). */
int subprocess_new(struct subprocesses *ps, const struct subprocess_command *cmd,
                   const struct subprocess_ops *ops, void *arg, struct subprocess **ret);
struct subprocess *subprocess_free(struct subprocess *sp); /* does not kill */
void *subprocess_arg(const struct subprocess *sp);
pid_t subprocess_pid(const struct subprocess *sp);
const char *subprocess_label(const struct subprocess *sp); /* NULL: none */
const char *subprocess_name(const struct subprocess *sp);  /* argv[0] */
/* -EOVERFLOW: more than SUBPROCESS_STDIN_MAX unread. */
int subprocess_write(struct subprocess *sp, const void *data, size_t size, bool eof);
int subprocess_kill(struct subprocess *sp, int signum); /* its process group */
/* Do not read its output for now; it waits when the pipes are full. */
void subprocess_hold_output(struct subprocess *sp, bool on);
/* Nobody reads its output any more: it is complete when it has exited, whatever its children keep
 * open. May call on_complete. */
void subprocess_close_output(struct subprocess *sp);

struct subprocess *subprocesses_first(struct subprocesses *ps);
struct subprocess *subprocesses_next(struct subprocess *sp);

#endif
