/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <flux/idset.h>

int main(void)
{
    static const int flags[] = { 0, IDSET_FLAG_RANGE, IDSET_FLAG_RANGE | IDSET_FLAG_BRACKETS };
    struct idset *set = idset_decode("[7,1-3]");

    if (!set)
        err(1, "idset_decode");
    for (size_t i = 0; i < 3; i++) {
        char *s = idset_encode(set, flags[i]);

        if (!s)
            err(1, "idset_encode");
        printf("%s\n", s);
        free(s);
    }
    idset_destroy(set);
    if (!idset_decode("3-1"))
        printf("3-1: %s\n", strerror(errno));
    if (!(set = idset_ndecode("5,6,x", 3)))
        err(1, "idset_ndecode");
    printf("%zu numbers\n", idset_count(set));
    idset_destroy(set);
    return 0;
}
/* Output:
 * 1,2,3,7
 * 1-3,7
 * [1-3,7]
 * 3-1: Invalid argument
 * 2 numbers
 */
