/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    int major, minor;

    if (flux_core_version(&major, &minor, NULL) < FLUX_CORE_VERSION_HEX)
        printf("older than what this was compiled for\n");
    printf("version %d.%d, in full %s\n", major, minor, flux_core_version_string());
    return 0;
}
/* Output:
 * version ..., in full ...
 */
