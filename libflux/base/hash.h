/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Hash tables: uthash, told to report lack of memory instead of ending the process. An element
 * whose insertion failed has hh.tbl == NULL. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(elt) ((void)0)
#include <uthash.h>

#endif
