/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Fences: nprocs transactions under one name that are committed as one. */
#ifndef KVS_FENCE_H
#define KVS_FENCE_H

#include "kvs/txn.h"

#define FENCES_MAX       4096             /* incomplete ones */
#define FENCES_GUESTS    (FENCES_MAX / 2) /* of these: of guests */
#define FENCES_PER_GUEST (FENCES_MAX / 16)
#define FENCES_DONE_MAX  4096 /* names of completed ones that are remembered */
#define FENCE_NAME_MAX   1024 /* bytes */

struct fences;

int fences_new(struct kvs *k, struct fences **ret);
struct fences *fences_free(struct fences *fs);

struct fence_args {
    const char *name;
    int nprocs;
    size_t size_bytes; /* of the request: what is kept of it, and charged to its user */
};

/* Takes t over on success; its done is called when all nprocs have come and the whole is stored.
 * -EINVAL: nprocs, flags or namespace differ from the others', or the name is too long.
 * -EOVERFLOW: nprocs have come already. -EAGAIN: too many incomplete fences, or too much in those
 * of the user. With a sentence. */
int fence_submit(struct kvs *k, const struct fence_args *args, struct txn *t, flux_error_t *error);

#endif
