/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A transaction: operations that are applied to a namespace together or not at all. Applying is a
 * function from working roots to new ones; nothing is changed until all of it has succeeded. */
#ifndef KVS_TXN_H
#define KVS_TXN_H

#include "base/list.h"
#include "kvs/loader.h"

/* A longer value becomes a blob (RFC 11 valref). What is appended to is rewritten inside its
 * directory up to a larger size: that is cheaper than a blob for each line of an eventlog. */
#define VALUE_INLINE_MAX  256        /* bytes */
#define APPEND_INLINE_MAX 1024       /* bytes */
#define VALREF_BLOBS_MAX  64         /* appended values are compacted beyond */
#define VALUE_BLOB_MAX    (4u << 20) /* bytes: a longer value becomes several blobs */

enum txn_type { TXN_COMMIT, TXN_NAMESPACE_CREATE, TXN_NAMESPACE_REMOVE };

enum op_type { OP_PUT, OP_APPEND, OP_UNLINK, OP_PRUNE, OP_ARCHIVE, OP_CREATE };

struct op {
    enum op_type type;
    char *key;                   /* normalized */
    struct node *node;           /* PUT: with its name; a long value is a valref to parts */
    struct blob *blob;           /* APPEND: the bytes */
    uint8_t digest[DIGEST_SIZE]; /* of blob */
    struct op *parts;            /* PUT of a long value: each has a blob and its digest */
    uint32_t nparts;
    char *ns;          /* ARCHIVE, CREATE; the link that CREATE makes is node */
    bool of_job;       /* ARCHIVE: what its user did makes nothing fail; parts: the append */
    bool archived;     /* ARCHIVE: was applied */
    uint32_t owner;    /* CREATE */
    struct node *root; /* CREATE: what the namespace begins with, made when it is applied */
};

/* A key that a transaction mentions, for those who watch it. */
struct touch {
    const char *ns; /* lent by the namespace's transaction */
    char *key;
};

struct touches {
    struct touch *item;
    size_t count, cap;
};
void touches_deinit(struct touches *t);

struct txn {
    TAILQ_ENTRY(txn) link;
    enum txn_type type;
    struct caller who;
    char *ns;
    int flags; /* FLUX_KVS_NO_MERGE, FLUX_KVS_SYNC */
    struct op *ops;
    size_t nops;
    struct {
        uint32_t owner;
        int flags;
        bool have_root;
        uint8_t root[DIGEST_SIZE];
    } create;
    /* Called once; frees the transaction (txn_free). On success rootref and seq are set. */
    void (*done)(struct txn *t, void *arg);
    void *arg;
    void (*release)(void *arg); /* if set, frees arg along with the transaction, done or not */
    int err;
    uint64_t guarded; /* epoch in which its references are known to stay in the store */
    flux_error_t error;
    uint8_t rootref[DIGEST_SIZE];
    int64_t rootseq;
};

/* ops: as kvs.commit has them. -EINVAL, -EPROTO, -EPERM with a sentence. */
int txn_new_commit(struct kvs *k, const char *ns, int flags, const json_t *ops,
                   const struct caller *who, struct txn **ret, flux_error_t *error);
int txn_new_create(struct kvs *k, const char *ns, uint32_t owner, int flags, const char *rootref,
                   struct txn **ret, flux_error_t *error);
int txn_new_remove(struct kvs *k, const char *ns, struct txn **ret, flux_error_t *error);
struct txn *txn_free(struct txn *t);
DEFINE_CLEANUP(struct txn *, txn_free)

/* What applying a transaction makes besides new roots. */
struct effects {
    struct kvs *k;
    struct load_group *loads;
    uint64_t owner;    /* of the directories made: the transaction's number */
    struct op **blobs; /* new blobs, lent by operations */
    size_t nblobs, blobs_cap;
    struct op *made; /* blobs that applying made (appends, compaction) */
    size_t nmade, made_cap;
    struct touches touches;
};
void effects_deinit(struct effects *fx);

/* 0: done, working roots are new. -EAGAIN: nothing has changed, something is being loaded; try
 * again when loads is done. Else: nothing has changed. */
int txn_apply(struct txn *t, struct effects *fx);

#endif
