/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the files of the KVS client share. */
#ifndef API_KVS_INTERNAL_H
#define API_KVS_INTERNAL_H

#include <jansson.h>
#include <flux/kvs.h>

#define KVS_COMMIT_FLAGS (FLUX_KVS_NO_MERGE | FLUX_KVS_SYNC)

/* ns, or $FLUX_KVS_NAMESPACE, or "primary". */
const char *kvs_namespace(const char *ns);
/* The array of operations, lent. */
json_t *kvs_txn_ops(const flux_kvs_txn_t *txn);
/* Text of the dirref object for member "rootref" of a response; kept with the future. 0 or -1. */
int kvs_get_rootref_treeobj(flux_future_t *f, const char **treeobj);

#endif
