/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* FLUIDs, the job identifiers (RFC 19): 40 bits of milliseconds since the epoch of the generator,
 * 14 bits of generator id, 10 bits of sequence. */
#ifndef BASE_FLUID_H
#define BASE_FLUID_H

#include <stddef.h>
#include <stdint.h>

enum fluid_style {
    FLUID_DEC,
    FLUID_HEX,       /* 0x... */
    FLUID_DOTHEX,    /* xxxx.xxxx.xxxx.xxxx */
    FLUID_MNEMONIC,  /* word-word-word--word-word-word */
    FLUID_F58,       /* U+0192 and base58 */
    FLUID_F58_PLAIN, /* f and base58 */
};

struct fluid_generator {
    uint16_t id;
    uint16_t seq;
    uint64_t epoch_msec; /* CLOCK_REALTIME milliseconds of the generator's time zero */
    uint64_t last_msec;  /* timestamp of the last id: never goes back, even when the clock does */
};

/* Start a generator so that every id is greater than `last` (0: none yet). 0 or -EINVAL. */
int fluid_generator_init(struct fluid_generator *gen, uint32_t id, uint64_t last);
/* 0, or -EAGAIN when 1024 ids were made in this millisecond (call again in the next one; the
 * generator borrows up to 1000 ms from the future first, so a burst is not slowed). */
int fluid_generate(struct fluid_generator *gen, uint64_t *ret_id);
uint64_t fluid_timestamp_msec(uint64_t id);

/* 0, -EOVERFLOW (buffer), -EINVAL. */
int fluid_encode(char *buf, size_t size, uint64_t id, enum fluid_style style);
int fluid_parse(const char *s, uint64_t *ret_id); /* any style; 0 or -EINVAL */

#endif
