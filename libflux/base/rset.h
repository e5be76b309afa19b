/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Resource sets: R version 1 (RFC 20) as a table of execution targets with cores and gpus. */
#ifndef BASE_RSET_H
#define BASE_RSET_H

#include <jansson.h>
#include <flux/idset.h>
#include <flux/types.h>

struct rset_rank {
    uint32_t rank;
    const char *hostname; /* owned by the rset; may be NULL */
    struct idset *cores;
    struct idset *gpus; /* never NULL, may be empty */
};

struct rset;

int rset_new(struct rset **ret);
struct rset *rset_free(struct rset *r);
int rset_copy(const struct rset *r, struct rset **ret);

int rset_decode(const json_t *o, struct rset **ret, flux_error_t *error); /* 0 or -EPROTO */
int rset_decode_string(const char *s, struct rset **ret, flux_error_t *error);
json_t *rset_encode(
    const struct rset *r); /* compact: equal ranks share an R_lite entry; NULL ENOMEM */
char *rset_encode_string(const struct rset *r);
char *rset_describe(const struct rset *r); /* "rank[0-1]/core[0-3]", malloc'd */

/* Ranks are kept sorted. add: sets are copied and united with what the rank has already. */
int rset_add(struct rset *r, uint32_t rank, const char *hostname, const struct idset *cores,
             const struct idset *gpus);
size_t rset_nnodes(const struct rset *r);
size_t rset_count(const struct rset *r, const char *type);        /* "core", "gpu", "node" */
const struct rset_rank *rset_nth(const struct rset *r, size_t n); /* NULL past the end */
const struct rset_rank *rset_find(const struct rset *r, uint32_t rank);
struct idset *rset_ranks(const struct rset *r);
char *rset_nodelist(const struct rset *r); /* RFC 29, rank order, malloc'd */

/* Set arithmetic by rank, core and gpu. subtract drops ranks that become empty. */
int rset_union(struct rset *a, const struct rset *b);
int rset_subtract(struct rset *a, const struct rset *b);
bool rset_contains(const struct rset *a, const struct rset *b);

double rset_expiration(const struct rset *r); /* 0: none */
double rset_starttime(const struct rset *r);
void rset_set_expiration(struct rset *r, double starttime, double expiration);

#endif
