/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A certificate that parses has a public key of 40 characters and, if it has a secret, a whole one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flux_error_t error = { .text = "" };
    struct cert c;

    if (cert_parse((const char *)data, size, &c, &error) < 0) {
        if (!error.text[0])
            abort();
        return 0;
    }
    if (strlen(c.public_key) != 40 || (c.secret_key[0] && strlen(c.secret_key) != 40))
        abort();
    cert_deinit(&c);
    return 0;
}
