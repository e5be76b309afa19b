/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

#define DEBUG_DROP 0x4

/* What a module asks before it answers; this program is none, so there are no flags. */
int main(void)
{
    flux_t *h = flux_open(NULL, 0);

    if (!h)
        err(1, "flux_open");
    if (flux_module_debug_test(h, DEBUG_DROP, true))
        printf("dropping one response\n");
    else
        printf("answering\n");
    flux_close(h);
    return 0;
}
/* Output:
 * answering
 */
