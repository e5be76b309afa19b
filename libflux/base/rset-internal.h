/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the parts of the resource set share; the interface is base/rset.h. */
#ifndef BASE_RSET_INTERNAL_H
#define BASE_RSET_INTERNAL_H

#include "base/rset.h"

#define RSET_RANKS_MAX (1u << 20)
#define RSET_WORDS_MAX (1u << 22) /* 64-bit words of all bitmaps of a decoded set: 32 MiB */

struct rset {
    struct rset_rank *ranks; /* sorted by rank */
    size_t count;
    size_t allocated;
    double starttime;
    double expiration;
};

#endif
