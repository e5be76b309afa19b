/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A property of transient units, of the kinds that sd_bus_message_append() cannot say at once. */
#include <stdint.h>

#include "imp/exit-codes.h"

int unit_append_exit_codes(sd_bus_message *m)
{
    int32_t codes[255];
    int rc;

    for (int32_t i = 0; i < 255; i++)
        codes[i] = i + 1;
    rc = sd_bus_message_open_container(m, 'r', "sv");
    if (rc >= 0)
        rc = sd_bus_message_append(m, "s", "SuccessExitStatus");
    if (rc >= 0)
        rc = sd_bus_message_open_container(m, 'v', "(aiai)");
    if (rc >= 0)
        rc = sd_bus_message_open_container(m, 'r', "aiai");
    if (rc >= 0)
        rc = sd_bus_message_append_array(m, 'i', codes, sizeof(codes));
    if (rc >= 0)
        rc = sd_bus_message_append_array(m, 'i', NULL, 0); /* signals */
    for (int i = 0; i < 3 && rc >= 0; i++)
        rc = sd_bus_message_close_container(m);
    return rc;
}
