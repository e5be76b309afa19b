/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Content digests and blobrefs (RFC 10): "blake2b-HEX" (libsodium, 32 bytes) or "sha256-HEX".
 * sha1 is refused. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE         32
#define BLOBREF_STRING_SIZE 80 /* longest blobref with its NUL */

enum digest_algorithm { DIGEST_BLAKE2B, DIGEST_SHA256 };

int digest_algorithm_parse(const char *name, enum digest_algorithm *ret); /* 0 or -EINVAL */
const char *digest_algorithm_name(enum digest_algorithm alg);
void digest_compute(enum digest_algorithm alg, const void *data, size_t size,
                    uint8_t ret_digest[DIGEST_SIZE]);
/* The same in pieces. */
struct digest_stream {
    _Alignas(64) unsigned char state[384];
    enum digest_algorithm alg;
};
void digest_stream_begin(struct digest_stream *ds, enum digest_algorithm alg);
void digest_stream_add(struct digest_stream *ds, const void *data, size_t size);
void digest_stream_end(struct digest_stream *ds, uint8_t ret_digest[DIGEST_SIZE]);

void blobref_format(enum digest_algorithm alg, const uint8_t digest[DIGEST_SIZE],
                    char ret_ref[BLOBREF_STRING_SIZE]);
int blobref_parse(const char *ref, enum digest_algorithm *ret_alg, uint8_t ret_digest[DIGEST_SIZE]);
bool blobref_valid(const char *ref);

#endif
