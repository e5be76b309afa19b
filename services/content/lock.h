/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* PATH-lock: held by whoever uses the files of a store, a daemon or a tool. It also remembers that
 * there was a store, so that a file that is gone is not taken for a new one. */
#ifndef CONTENT_LOCK_H
#define CONTENT_LOCK_H

#include <stdbool.h>
#include "content/store.h"

/* -EBUSY with a sentence. wait: some seconds, for another process to end. *ret_fd: closing it lets
 * go. */
int lock_take(const char *path, bool wait, int *ret_fd, flux_error_t *error);
/* -ENOENT, with a sentence, if there is no store but there was one. */
int lock_check(const char *path, int fd, flux_error_t *error);
void lock_mark(int fd); /* there is a store now */

#endif
