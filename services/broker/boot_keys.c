/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A key pair of CURVE: Curve25519, written in Z85 (ZeroMQ RFC 32). */
#include <sodium.h>
#include <string.h>

#include "broker/boot.h"

/* 32 bytes to 40 characters. */
static void z85_encode(const uint8_t *bytes, char ret[BOOT_KEY_SIZE])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 ".-:+=^!/*?&<>()[]{}@%$#";

    for (size_t i = 0; i < 8; i++) {
        uint32_t v = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 |
                     (uint32_t)bytes[4 * i + 2] << 8 | bytes[4 * i + 3];

        for (size_t k = 5; k-- > 0; v /= 85)
            ret[5 * i + k] = digits[v % 85];
    }
    ret[BOOT_KEY_SIZE - 1] = '\0';
}

int boot_make_keys(struct boot *b)
{
    uint8_t pk[crypto_box_PUBLICKEYBYTES], sk[crypto_box_SECRETKEYBYTES];

    if (sodium_init() < 0 || crypto_box_keypair(pk, sk) < 0)
        return -EIO;
    z85_encode(pk, b->public_key);
    z85_encode(sk, b->secret_key);
    sodium_memzero(sk, sizeof(sk));
    return 0;
}
