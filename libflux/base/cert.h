/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* CURVE certificates: files in the format of ZeroMQ's certificates (ZPL, RFC 4), with a key pair of
 * Curve25519 in Z85. */
#ifndef BASE_CERT_H
#define BASE_CERT_H

#include <stdbool.h>
#include <stddef.h>

#include <flux/types.h>

#define CERT_KEY_SIZE  41 /* with the NUL */
#define CERT_NAME_SIZE 256
#define CERT_FILE_MAX  8192

struct cert {
    char public_key[CERT_KEY_SIZE];
    char secret_key[CERT_KEY_SIZE]; /* "": not known */
    char name[CERT_NAME_SIZE];      /* metadata; "": none */
};

/* A new key pair; name "". 0 or -EIO. */
int cert_generate(struct cert *ret);
/* Text of a file. The secret key must be that of the public key. 0 or -EINVAL with "line N: why".
 */
int cert_parse(const char *text, size_t len, struct cert *ret, flux_error_t *error);
/* A regular file of ours or root's; with a secret, closed to everybody else. want_secret: it must
 * have one; else it is not kept. 0 or -errno with a sentence. */
int cert_load(const char *path, bool want_secret, struct cert *ret, flux_error_t *error);
/* Replaces what is there at once, mode 0400; without the secret 0444. meta: pairs of a name and a
 * value for the metadata, ending with NULL; may be NULL. 0 or -errno with a sentence. */
int cert_write(const char *path, const struct cert *c, bool with_secret, const char *const *meta,
               flux_error_t *error);
/* May this be a name or a value in metadata? */
bool cert_meta_name_is_valid(const char *s);
bool cert_meta_value_is_valid(const char *s);
/* Wipes the secret. */
void cert_deinit(struct cert *c);

#endif
