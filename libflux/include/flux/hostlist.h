/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Ordered lists of host names and their strings (RFC 29). Duplicates are kept, order is kept. */
#ifndef FLUX_HOSTLIST_H
#define FLUX_HOSTLIST_H

#include <flux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hostlist;

struct hostlist *hostlist_create(void);
void hostlist_destroy(struct hostlist *hl);
struct hostlist *hostlist_copy(const struct hostlist *hl);
struct hostlist *hostlist_decode(const char *s); /* at most 2^20 hosts, EINVAL beyond */
char *hostlist_encode(const struct hostlist *hl);
int hostlist_append(struct hostlist *hl, const char *hosts); /* number of hosts added, or -1 */
int hostlist_count(const struct hostlist *hl);
const char *hostlist_nth(const struct hostlist *hl, int n);         /* lent; NULL ENOENT */
int hostlist_find(const struct hostlist *hl, const char *hostname); /* index, or -1 ENOENT */
void hostlist_uniq(struct hostlist *hl);

#ifdef __cplusplus
}
#endif

#endif
