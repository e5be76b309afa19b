/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Tree objects (RFC 11) in memory: an entry of a directory. Reference counted and never changed
 * once made, so that any number of versions of the tree share them. */
#ifndef KVS_NODE_H
#define KVS_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/digest.h"
#include "kvs/strbuf.h"

struct dir;

enum node_type {
    NODE_VAL,    /* the bytes themselves */
    NODE_VALREF, /* blobs that make up the bytes */
    NODE_DIRREF, /* a directory in the content store */
    NODE_DIR,    /* a directory in memory, not (yet) in the content store */
    NODE_SYMLINK
};

#define BLOB_SIZE_UNKNOWN UINT64_MAX

struct blob_ref {
    uint8_t digest[DIGEST_SIZE];
    uint64_t size; /* RFC 11 does not carry it: unknown for what was read from the store */
};

struct node {
    uint32_t refs;
    enum node_type type;
    size_t name_len;
    const char *name; /* "" for roots and hash buckets */
    union {
        struct {
            const void *data;
            size_t size;
        } val;
        struct {
            const struct blob_ref *refs;
            uint32_t count;
            uint64_t size; /* BLOB_SIZE_UNKNOWN if not recorded */
        } valref;
        uint8_t dirref[DIGEST_SIZE];
        struct dir *dir; /* counted reference */
        struct {
            const char *ns; /* or NULL */
            const char *target;
        } symlink;
    };
};

/* All copy their arguments (dir: take a reference). NULL: out of memory. */
struct node *node_new_val(const char *name, size_t name_len, const void *data, size_t size);
struct node *node_new_valref(const char *name, size_t name_len, const struct blob_ref *refs,
                             uint32_t count);
struct node *node_new_dirref(const char *name, size_t name_len, const uint8_t digest[DIGEST_SIZE]);
struct node *node_new_dir(const char *name, size_t name_len, struct dir *dir);
struct node *node_new_symlink(const char *name, size_t name_len, const char *ns,
                              const char *target);
struct node *node_ref(struct node *n);
struct node *node_unref(struct node *n);
DEFINE_CLEANUP(struct node *, node_unref)

bool node_is_dir(const struct node *n); /* DIR or DIRREF */

/* What RFC 11 says in JSON. Refuses (-EPROTO): another version, unknown types, blobrefs of another
 * algorithm than alg, more than DIR_NESTING_MAX directories within directories. */
#define DIR_NESTING_MAX 32
int node_decode(const json_t *o, const char *name, size_t name_len, enum digest_algorithm alg,
                struct node **ret);
/* Without its name. NODE_DIR is written as a dir object with all that is in it. */
void node_encode(const struct node *n, enum digest_algorithm alg, struct strbuf *sb);
/* A val object made of bytes. */
void node_encode_val(const void *data, size_t size, struct strbuf *sb);

#endif
