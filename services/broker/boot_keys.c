/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A key pair of CURVE for this process alone. */
#include <string.h>

#include "base/cert.h"
#include "broker/boot.h"

_Static_assert(BOOT_KEY_SIZE == CERT_KEY_SIZE, "keys are what certificates have");

int boot_make_keys(struct boot *b)
{
    CLEANUP(cert_deinit) struct cert c = { .name = "" };
    const int rc = cert_generate(&c);

    if (rc < 0)
        return rc;
    memcpy(b->public_key, c.public_key, sizeof(b->public_key));
    memcpy(b->secret_key, c.secret_key, sizeof(b->secret_key));
    return 0;
}
