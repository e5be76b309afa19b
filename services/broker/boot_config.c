/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* By [bootstrap] of the configuration. */
#include "broker/boot.h"

int boot_config(struct boot *b, const struct boot_options *opts, flux_error_t *error)
{
    (void)b;
    (void)opts;
    (void)error;
    return -ENOENT;
}
