/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Fences: nprocs transactions under one name that are committed as one. */
#ifndef KVS_FENCE_H
#define KVS_FENCE_H

#include "kvs/txn.h"

#define FENCES_MAX      4096 /* incomplete ones */
#define FENCES_DONE_MAX 4096 /* names of completed ones that are remembered */

struct fences;

int fences_new(struct kvs *k, struct fences **ret);
struct fences *fences_free(struct fences *fs);

/* Takes t over on success; its done is called when all nprocs have come and the whole is stored.
 * -EINVAL: nprocs, flags or namespace differ from the others'. -EOVERFLOW: nprocs
 * have come already. -EAGAIN: too many incomplete fences. With a sentence. */
int fence_submit(struct kvs *k, const char *name, int nprocs, struct txn *t, flux_error_t *error);

#endif
