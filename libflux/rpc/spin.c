/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* After m misses in a row 2^m waits go to sleep at once, so that a client whose answers take long
 * looks around for SPIN_USEC once in 2^SPIN_MISSES_MAX waits. On one core it never does: it would
 * keep from running whom it waits for. */
#include <sched.h>
#include <stdbool.h>

#include "base/monotime.h"
#include "rpc/spin.h"

static bool has_cores(struct spin *s)
{
    cpu_set_t set;

    if (s->cores == 0)
        s->cores = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);
    return s->cores > 1;
}

int spin_poll(struct spin *s, struct pollfd *pfds, nfds_t n)
{
    uint64_t end_usec;
    int rc;

    if (s->skip > 0) {
        s->skip--;
        return 0;
    }
    if (!has_cores(s))
        return 0;
    end_usec = monotime_usec() + SPIN_USEC;
    do {
        rc = poll(pfds, n, 0);
    } while (rc == 0 && monotime_usec() < end_usec);
    if (rc != 0) {
        s->misses = 0;
        return rc;
    }
    if (s->misses < SPIN_MISSES_MAX)
        s->misses++;
    s->skip = 1u << s->misses;
    return 0;
}
