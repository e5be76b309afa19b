/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Look a few more times before going to sleep: who waits for an answer that takes 10 µs pays 20 µs
 * and more for being woken on another core. It looks for SPIN_USEC at most, and where that does not
 * pay (long answers, a busy machine, one core) ever more rarely. */
#ifndef RPC_SPIN_H
#define RPC_SPIN_H

#include <poll.h>

#define SPIN_USEC       40
#define SPIN_MISSES_MAX 8

struct spin {
    unsigned int misses; /* in a row, up to SPIN_MISSES_MAX */
    unsigned int skip;   /* so many waits are not worth a try */
    int cores;           /* that we may run on; 0: not looked at yet */
};

/* What poll(2) says with a timeout of 0, within SPIN_USEC; 0 at once if it is not worth it. */
int spin_poll(struct spin *s, struct pollfd *pfds, nfds_t n);

#endif
