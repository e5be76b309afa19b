/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Directories in memory: persistent in the sense of functional programming. A change copies the
 * directories on its path and shares the rest, so an old version stays whole, a transaction that
 * fails is simply forgotten, and a lookup is never disturbed by a commit.
 *
 * A small directory is a sorted array (RFC 11 dir). One that outgrows DIR_MAX is hashed (RFC 11
 * hdir) into DIR_BUCKETS directories, which split again in their turn: the cost of a change is that
 * of a path through small blobs, however many names there are.
 *
 * A blob costs more than its bytes: when a directory is sealed, small directories below it become
 * part of its own blob (RFC 11 dir within dir), and only what would make it longer than
 * DIR_TEXT_MAX goes into blobs of its own (seal.c).
 */
#ifndef KVS_DIR_H
#define KVS_DIR_H

#include "kvs/node.h"

#define DIR_MAX         32 /* names in an unhashed directory, unless DIR_DEPTH_MAX is reached */
#define DIR_BITS        3
#define DIR_BUCKETS     (1u << DIR_BITS) /* of directories that are split from now on */
#define DIR_BITS_MAX    6                /* of those that are read */
#define DIR_DEPTH_MAX   6                /* levels of hashing */
#define DIR_TEXT_MAX    4096 /* bytes: a longer blob has no directories and longer values inside */
#define DIR_INLINE_MAX  512  /* text of a directory inside another */
#define DIR_VALUE_SMALL 128  /* bytes: such values always stay inside */

struct dir {
    uint32_t refs;
    bool hashed;
    uint8_t depth;  /* of hashing above it */
    uint8_t bits;   /* a hashed one has 2^bits buckets */
    bool sealed;    /* digest is valid, nothing may change any more */
    uint64_t owner; /* transaction that made it and, until sealed, may change it; 0: none, ever */
    uint32_t count; /* names, or buckets in use */
    uint32_t cap;
    struct node **ents; /* by name, or a slot for each bucket (NULL: empty) */
    uint8_t digest[DIGEST_SIZE];
    struct dir *origin; /* until sealed: the sealed one that it is a changed copy of, or NULL */
};

/* How directories find the ones they refer to. */
struct dir_source {
    enum digest_algorithm alg;
    /* Lends the directory; -EAGAIN: it must be loaded first (missing says which), or -errno. */
    int (*get)(struct dir_source *src, const uint8_t digest[DIGEST_SIZE], struct dir **ret);
    uint8_t missing[DIGEST_SIZE];
};

struct dir *dir_new(uint64_t owner, unsigned int depth);
struct dir *dir_ref(struct dir *d);
struct dir *dir_unref(struct dir *d);
DEFINE_CLEANUP(struct dir *, dir_unref)

uint32_t dir_slots(const struct dir *d); /* length of ents */

/* The directory that a node stands for, lent. -ENOTDIR. */
int dir_of_node(struct dir_source *src, const struct node *n, struct dir **ret);
/* Lends the node. 0, -ENOENT, or what the source says. */
int dir_find(struct dir_source *src, struct dir *d, const char *name, size_t len,
             struct node **ret);

/* The following change d, which must belong to the transaction owner. */
int dir_put(struct dir_source *src, uint64_t owner, struct dir *d, struct node *n); /* refs n */
int dir_put_plain(struct dir *d, struct node *n); /* of an unhashed one: does not split it */
int dir_remove(struct dir_source *src, uint64_t owner, struct dir *d, const char *name,
               size_t len); /* -ENOENT */
/* The directory under a name, changeable by owner, lent; made if there is none or something else is
 * in its place. */
int dir_enter(struct dir_source *src, uint64_t owner, struct dir *d, const char *name, size_t len,
              struct dir **ret);
/* A directory that owner may change: d itself or a copy. */
int dir_writable(uint64_t owner, struct dir *d, struct dir **ret);
struct dir *dir_copy(const struct dir *d, uint64_t owner);

/* Calls fn for every name, of all buckets, in no order. Stops at the first non-zero result. */
int dir_walk(struct dir_source *src, struct dir *d, int (*fn)(struct node *n, void *arg),
             void *arg);

/* The blob's text: dir or hdir. decode: -EPROTO for anything else. */
int dir_decode(const void *data, size_t size, enum digest_algorithm alg, struct dir **ret);
void dir_encode(const struct dir *d, enum digest_algorithm alg, struct strbuf *sb);
int dir_decode_json(const json_t *o, enum digest_algorithm alg, int nesting, struct dir **ret);

/* What sealing makes; both are lent. */
struct seal_sink {
    int (*dir)(struct dir *d, const void *text, size_t size, void *arg); /* d is sealed */
    int (*value)(const uint8_t digest[DIGEST_SIZE], const void *data, size_t size, void *arg);
    void *arg;
    struct strbuf *scratch; /* for the text of a directory */
};

/* Gives d, and of what is unsealed below it whatever does not become part of another blob, to the
 * sink, deepest first. What d leads to is in its blob or named in it by digest afterwards. */
int dir_seal(struct dir *d, enum digest_algorithm alg, const struct seal_sink *sink);

#endif
