/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Key value store: RFC 11. See flux_kvs_lookup(3), flux_kvs_commit(3), flux_kvs_txn_create(3),
 * flux_kvs_getroot(3), flux_kvs_namespace_create(3), flux_kvs_copy(3). */
#ifndef FLUX_KVS_H
#define FLUX_KVS_H

#include <flux/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct flux_kvs_txn flux_kvs_txn_t;
typedef struct flux_kvsdir flux_kvsdir_t;
typedef struct flux_kvsitr flux_kvsitr_t;

#define KVS_PRIMARY_NAMESPACE "primary"

#define FLUX_KVS_READDIR      1
#define FLUX_KVS_READLINK     2
#define FLUX_KVS_WATCH        4
#define FLUX_KVS_WAITCREATE   8
#define FLUX_KVS_TREEOBJ      16
#define FLUX_KVS_APPEND       32
#define FLUX_KVS_NO_MERGE     64
#define FLUX_KVS_WATCH_FULL   128
#define FLUX_KVS_WATCH_UNIQ   256
#define FLUX_KVS_WATCH_APPEND 512
#define FLUX_KVS_SYNC         1024

/* Lookup. ns NULL: $FLUX_KVS_NAMESPACE, then "primary". */
flux_future_t *flux_kvs_lookup(flux_t *h, const char *ns, int flags, const char *key);
flux_future_t *flux_kvs_lookupat(flux_t *h, int flags, const char *key, const char *treeobj);
int flux_kvs_lookup_get(flux_future_t *f, const char **value);
int flux_kvs_lookup_get_unpack(flux_future_t *f, const char *fmt, ...);
int flux_kvs_lookup_get_raw(flux_future_t *f, const void **data, int *len);
int flux_kvs_lookup_get_dir(flux_future_t *f, const flux_kvsdir_t **dir);
int flux_kvs_lookup_get_treeobj(flux_future_t *f, const char **treeobj);
int flux_kvs_lookup_get_symlink(flux_future_t *f, const char **ns, const char **target);
const char *flux_kvs_lookup_get_key(flux_future_t *f);
int flux_kvs_lookup_cancel(flux_future_t *f);

/* Directories, as returned by flux_kvs_lookup_get_dir(). */
flux_kvsdir_t *flux_kvsdir_create(flux_t *h, const char *rootref, const char *key,
                                  const char *json_str);
flux_kvsdir_t *flux_kvsdir_copy(const flux_kvsdir_t *dir);
void flux_kvsdir_destroy(flux_kvsdir_t *dir);
int flux_kvsdir_get_size(const flux_kvsdir_t *dir);
bool flux_kvsdir_exists(const flux_kvsdir_t *dir, const char *name);
bool flux_kvsdir_isdir(const flux_kvsdir_t *dir, const char *name);
bool flux_kvsdir_issymlink(const flux_kvsdir_t *dir, const char *name);
const char *flux_kvsdir_key(const flux_kvsdir_t *dir);
const char *flux_kvsdir_rootref(const flux_kvsdir_t *dir);
char *flux_kvsdir_key_at(const flux_kvsdir_t *dir, const char *name); /* malloc'd */
flux_kvsitr_t *flux_kvsitr_create(const flux_kvsdir_t *dir);
const char *flux_kvsitr_next(flux_kvsitr_t *itr);
void flux_kvsitr_rewind(flux_kvsitr_t *itr);
void flux_kvsitr_destroy(flux_kvsitr_t *itr);

/* Transactions. */
flux_kvs_txn_t *flux_kvs_txn_create(void);
void flux_kvs_txn_destroy(flux_kvs_txn_t *txn);
int flux_kvs_txn_put(flux_kvs_txn_t *txn, int flags, const char *key, const char *value);
int flux_kvs_txn_pack(flux_kvs_txn_t *txn, int flags, const char *key, const char *fmt, ...);
int flux_kvs_txn_vpack(flux_kvs_txn_t *txn, int flags, const char *key, const char *fmt,
                       va_list ap);
int flux_kvs_txn_mkdir(flux_kvs_txn_t *txn, int flags, const char *key);
int flux_kvs_txn_unlink(flux_kvs_txn_t *txn, int flags, const char *key);
int flux_kvs_txn_symlink(flux_kvs_txn_t *txn, int flags, const char *key, const char *ns,
                         const char *target);
int flux_kvs_txn_put_raw(flux_kvs_txn_t *txn, int flags, const char *key, const void *data,
                         int len);
int flux_kvs_txn_put_treeobj(flux_kvs_txn_t *txn, int flags, const char *key, const char *treeobj);
/* Ours: unlink key, and every directory above it that is empty then. */
int flux_kvs_txn_prune(flux_kvs_txn_t *txn, int flags, const char *key);
/* Ours: within the same commit, set key to a snapshot of namespace ns (its root dirref at that
 * moment) and remove the namespace. Instance owner only. Fails the whole commit with ENOTSUP if ns
 * is unknown. */
int flux_kvs_txn_archive(flux_kvs_txn_t *txn, int flags, const char *key, const char *ns);
/* Ours: the same with the namespace of a job, and log, lines of an eventlog, are appended to
 * exec.eventlog in it. What the job's user did there cannot make the commit fail: without ns
 * nothing happens, and where exec.eventlog is a directory log is dropped. */
int flux_kvs_txn_archive_job(flux_kvs_txn_t *txn, int flags, const char *key, const char *ns,
                             const char *log);
/* Ours: within the same commit, create namespace ns for owner and make key a link to its root. A
 * namespace of that name that is there already stays as it is. Instance owner only. */
int flux_kvs_txn_namespace(flux_kvs_txn_t *txn, int flags, const char *key, const char *ns,
                           uint32_t owner);

flux_future_t *flux_kvs_commit(flux_t *h, const char *ns, int flags, flux_kvs_txn_t *txn);
flux_future_t *flux_kvs_fence(flux_t *h, const char *ns, int flags, const char *name, int nprocs,
                              flux_kvs_txn_t *txn);
int flux_kvs_commit_get_treeobj(flux_future_t *f, const char **treeobj);
int flux_kvs_commit_get_rootref(flux_future_t *f, const char **rootref);
int flux_kvs_commit_get_sequence(flux_future_t *f, int *seq);

/* Namespaces and roots. */
flux_future_t *flux_kvs_namespace_create(flux_t *h, const char *ns, uint32_t owner, int flags);
flux_future_t *flux_kvs_namespace_create_with(flux_t *h, const char *ns, const char *rootref,
                                              uint32_t owner, int flags);
flux_future_t *flux_kvs_namespace_remove(flux_t *h, const char *ns);
flux_future_t *flux_kvs_getroot(flux_t *h, const char *ns, int flags);
int flux_kvs_getroot_get_treeobj(flux_future_t *f, const char **treeobj);
int flux_kvs_getroot_get_blobref(flux_future_t *f, const char **blobref);
int flux_kvs_getroot_get_sequence(flux_future_t *f, int *seq);
int flux_kvs_getroot_get_owner(flux_future_t *f, uint32_t *owner);
int flux_kvs_get_version(flux_t *h, const char *ns, int *versionp);
int flux_kvs_wait_version(flux_t *h, const char *ns, int version);
int flux_kvs_dropcache(flux_t *h);

flux_future_t *flux_kvs_copy(flux_t *h, const char *srckey, const char *dstkey, int commit_flags);
flux_future_t *flux_kvs_move(flux_t *h, const char *srckey, const char *dstkey, int commit_flags);

#ifdef __cplusplus
}
#endif

#endif
