/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Each group of changes waits a little, as long as it would take to move its blobs, and twice that
 * with one file more: so nobody has to wait for a whole step, and what comes slows down to what
 * goes. The wait is a time and not a count of blobs moved, because that grows in jumps. */
#include "content/pace.h"

void pace_note(struct pace *p, uint64_t blobs, int64_t nsec)
{
    int64_t each;

    if (blobs == 0)
        return;
    each = nsec / (int64_t)blobs + 1;
    p->nsec_per_blob = p->nsec_per_blob == 0 ? each : (7 * p->nsec_per_blob + each) / 8;
}

int64_t pace_wait_nsec(const struct pace *p, uint32_t files, uint64_t blobs)
{
    int64_t each = p->nsec_per_blob * files;

    if (p->nsec_per_blob == 0 || files > PACE_FILES_MAX)
        return -1;
    return blobs < (uint64_t)(PACE_WAIT_MAX_NSEC / each) ? (int64_t)blobs * each
                                                         : PACE_WAIT_MAX_NSEC;
}
