/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How much changes are slowed down when more is stored than can be moved out of the journal. */
#ifndef CONTENT_PACE_H
#define CONTENT_PACE_H

#include <stdint.h>

struct pace {
    int64_t nsec_per_blob; /* that moving took lately; 0: not known */
};

#define PACE_FILES_MAX     2 /* of the journal above its limit: with more nothing is appended */
#define PACE_WAIT_MAX_NSEC 100000000

/* So many blobs were moved in that time. */
void pace_note(struct pace *p, uint64_t blobs, int64_t nsec);
/* How long a group of so many blobs waits when the journal has so many files more than it should
 * have; -1: until some of it was moved. */
int64_t pace_wait_nsec(const struct pace *p, uint32_t files, uint64_t blobs);

#endif
