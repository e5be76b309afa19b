/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For tests: a disk that fails. SQLite's files behave as usual until the n-th write or sync from
 * now, which fails with EIO, and so do all that follow; or one that is full. */
#ifndef CONTENT_FAULTY_VFS_H
#define CONTENT_FAULTY_VFS_H

#include <stdbool.h>

void faulty_vfs_register(void);  /* becomes the default */
void faulty_vfs_arm(int writes); /* -1: never fail; 0: the next one fails */
void faulty_vfs_fill(bool full); /* writes fail with ENOSPC; syncs do not */
int faulty_vfs_count(void);      /* writes and syncs so far */

#endif
