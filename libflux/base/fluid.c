/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* FLUID generation (RFC 19).
 *
 * Invariants: ids of one generator only grow; no id is zero. The clock is trusted to move forward
 * by less than the 34 years a timestamp can hold; when it steps back, or a burst has used up the
 * ids of a whole second ahead, the generator moves its epoch or answers -EAGAIN rather than repeat
 * an id. */
#include "base/fluid.h"

#include <errno.h>
#include <time.h>

#define TIMESTAMP_BITS 40
#define ID_BITS        14
#define SEQ_BITS       10
#define TIMESTAMP_MAX  ((UINT64_C(1) << TIMESTAMP_BITS) - 1)
#define SEQ_MAX        ((1u << SEQ_BITS) - 1)
#define BORROW_MSEC    1000 /* how far ahead of the clock a burst may run */

static uint64_t clock_msec(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t fluid_timestamp_msec(uint64_t id)
{
    return id >> (ID_BITS + SEQ_BITS);
}

int fluid_generator_init(struct fluid_generator *gen, uint32_t id, uint64_t last)
{
    uint64_t last_msec = fluid_timestamp_msec(last);

    if (id >= 1u << ID_BITS || last_msec >= TIMESTAMP_MAX)
        return -EINVAL;
    *gen = (struct fluid_generator){
        .id = (uint16_t)id,
        .seq = SEQ_MAX, /* nothing is left in the millisecond of `last` */
        .epoch_msec = clock_msec() - last_msec - 1,
        .last_msec = last_msec,
    };
    return 0;
}

/* Milliseconds since the epoch of the generator. The epoch moves when the clock stepped back beyond
 * what borrowing explains, or forward beyond what a timestamp holds. */
static uint64_t generator_now(struct fluid_generator *gen)
{
    uint64_t clock = clock_msec();
    uint64_t now = clock > gen->epoch_msec ? clock - gen->epoch_msec : 0;

    if (now + BORROW_MSEC < gen->last_msec || now > TIMESTAMP_MAX) {
        gen->epoch_msec = clock - gen->last_msec;
        now = gen->last_msec;
    }
    return now;
}

int fluid_generate(struct fluid_generator *gen, uint64_t *ret_id)
{
    uint64_t now = generator_now(gen);

    if (now > gen->last_msec) {
        gen->last_msec = now;
        gen->seq = 0;
    } else if (gen->seq < SEQ_MAX) {
        gen->seq++;
    } else if (gen->last_msec - now < BORROW_MSEC && gen->last_msec < TIMESTAMP_MAX) {
        gen->last_msec++;
        gen->seq = 0;
    } else {
        return -EAGAIN;
    }
    *ret_id = gen->last_msec << (ID_BITS + SEQ_BITS) | (uint64_t)gen->id << SEQ_BITS | gen->seq;
    return 0;
}
