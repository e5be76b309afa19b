/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Content digests and blobrefs. Refuses every algorithm but BLAKE2b-256 and SHA-256, and hex digits
 * that are not lower case: one digest has one spelling. */
#include "base/digest.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static const char *const names[] = {
    [DIGEST_BLAKE2B] = "blake2b",
    [DIGEST_SHA256] = "sha256",
};

int digest_algorithm_parse(const char *name, enum digest_algorithm *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (name && strcmp(name, names[i]) == 0) {
            *ret = (enum digest_algorithm)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *digest_algorithm_name(enum digest_algorithm alg)
{
    return names[alg];
}

/* Selects the implementation for this processor; without it hashing works, slower. */
static void digest_init(void)
{
    static bool initialised; /* sodium_init() is idempotent and thread-safe: a race is harmless */

    if (!initialised)
        initialised = sodium_init() >= 0;
}

void digest_compute(enum digest_algorithm alg, const void *data, size_t size,
                    uint8_t ret_digest[DIGEST_SIZE])
{
    digest_init();
    if (alg == DIGEST_SHA256)
        (void)crypto_hash_sha256(ret_digest, data, size);
    else
        (void)crypto_generichash(ret_digest, DIGEST_SIZE, data, size, NULL, 0);
}

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(((struct digest_stream *)0)->state) &&
                   sizeof(crypto_hash_sha256_state) <= sizeof(((struct digest_stream *)0)->state),
               "there is room for libsodium's state");

void digest_stream_begin(struct digest_stream *ds, enum digest_algorithm alg)
{
    digest_init();
    ds->alg = alg;
    if (alg == DIGEST_SHA256)
        (void)crypto_hash_sha256_init((crypto_hash_sha256_state *)ds->state);
    else
        (void)crypto_generichash_init((crypto_generichash_state *)ds->state, NULL, 0, DIGEST_SIZE);
}

void digest_stream_add(struct digest_stream *ds, const void *data, size_t size)
{
    if (ds->alg == DIGEST_SHA256)
        (void)crypto_hash_sha256_update((crypto_hash_sha256_state *)ds->state, data, size);
    else
        (void)crypto_generichash_update((crypto_generichash_state *)ds->state, data, size);
}

void digest_stream_end(struct digest_stream *ds, uint8_t ret_digest[DIGEST_SIZE])
{
    if (ds->alg == DIGEST_SHA256)
        (void)crypto_hash_sha256_final((crypto_hash_sha256_state *)ds->state, ret_digest);
    else
        (void)crypto_generichash_final((crypto_generichash_state *)ds->state, ret_digest,
                                       DIGEST_SIZE);
}

void blobref_format(enum digest_algorithm alg, const uint8_t digest[DIGEST_SIZE],
                    char ret_ref[BLOBREF_STRING_SIZE])
{
    int n = snprintf(ret_ref, BLOBREF_STRING_SIZE, "%s-", names[alg]);

    (void)sodium_bin2hex(ret_ref + n, BLOBREF_STRING_SIZE - (size_t)n, digest, DIGEST_SIZE);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static int parse_hex(const char *s, uint8_t ret_digest[DIGEST_SIZE])
{
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        int hi = hex_value(s[2 * i]);
        int lo = hi < 0 ? -1 : hex_value(s[2 * i + 1]); /* reads no byte after a NUL */

        if (lo < 0)
            return -EINVAL;
        ret_digest[i] = (uint8_t)(hi << 4 | lo);
    }
    return s[2 * DIGEST_SIZE] == '\0' ? 0 : -EINVAL;
}

int blobref_parse(const char *ref, enum digest_algorithm *ret_alg, uint8_t ret_digest[DIGEST_SIZE])
{
    uint8_t digest[DIGEST_SIZE];

    for (size_t i = 0; ref && i < ARRAY_SIZE(names); i++) {
        size_t n = strlen(names[i]);

        if (strncmp(ref, names[i], n) != 0 || ref[n] != '-')
            continue;
        if (parse_hex(ref + n + 1, digest) < 0)
            return -EINVAL;
        *ret_alg = (enum digest_algorithm)i;
        memcpy(ret_digest, digest, DIGEST_SIZE);
        return 0;
    }
    return -EINVAL;
}

bool blobref_valid(const char *ref)
{
    enum digest_algorithm alg;
    uint8_t digest[DIGEST_SIZE];

    return blobref_parse(ref, &alg, digest) == 0;
}
