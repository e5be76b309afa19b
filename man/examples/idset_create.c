/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <errno.h>
#include <string.h>
#include <flux/idset.h>

int main(void)
{
    struct idset *set = idset_create(8, 0);
    struct idset *copy;

    if (!set || idset_range_set(set, 2, 5) < 0 || idset_clear(set, 3) < 0)
        err(1, "set-up");
    for (unsigned int id = idset_first(set); id != IDSET_INVALID_ID; id = idset_next(set, id))
        printf("%u ", id);
    printf("are %zu\n", idset_count(set));
    if (idset_set(set, 8) < 0)
        printf("8: %s\n", strerror(errno));
    if (!(copy = idset_copy(set)))
        err(1, "idset_copy");
    printf("equal %d, 3 is in it %d\n", idset_equal(set, copy), idset_test(copy, 3));
    idset_destroy(copy);
    idset_destroy(set);
    return 0;
}
/* Output:
 * 2 4 5 are 3
 * 8: Invalid argument
 * equal 1, 3 is in it 0
 */
