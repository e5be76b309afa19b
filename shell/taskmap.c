/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The block task map: pure arithmetic, whole rounds at once. */
#include <errno.h>
#include <stdbool.h>

#include "taskmap.h"

/* Give one task to each node that has room (all of them if `over`), as often as fits into left.
 * Returns what is left. */
static int deal_round(const int *slots, size_t nnodes, int left, int *counts, bool over)
{
    for (size_t i = 0; i < nnodes && left > 0; i++) {
        if (!over && counts[i] >= slots[i])
            continue;
        counts[i]++;
        left--;
    }
    return left;
}

int taskmap_block(const int *slots, size_t nnodes, int ntasks, int *counts)
{
    int left = ntasks;

    if (nnodes == 0 || ntasks <= 0)
        return -EINVAL;
    for (size_t i = 0; i < nnodes; i++)
        counts[i] = 0;
    for (int before = left + 1; left > 0 && left < before;) {
        before = left;
        left = deal_round(slots, nnodes, left, counts, false);
    }
    while (left > 0)
        left = deal_round(slots, nnodes, left, counts, true);
    return 0;
}
