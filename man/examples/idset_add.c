/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <flux/idset.h>

static void show(const char *what, const struct idset *set)
{
    char *s = idset_encode(set, IDSET_FLAG_RANGE);

    if (!s)
        err(1, "idset_encode");
    printf("%s: %s\n", what, s);
    free(s);
}

int main(void)
{
    struct idset *a = idset_decode("0-4");
    struct idset *b = idset_decode("3-6");
    struct idset *u = idset_union(a, b);
    struct idset *d = idset_difference(a, b);
    struct idset *i = idset_intersect(a, b);

    if (!a || !b || !u || !d || !i)
        err(1, "set-up");
    show("union", u);
    show("difference", d);
    show("intersection", i);
    if (idset_subtract(u, i) < 0)
        err(1, "idset_subtract");
    show("in one of them", u);
    printf("%d\n", idset_has_intersection(u, i));
    idset_clear_all(u);
    printf("%zu left\n", idset_count(u));
    idset_destroy(i);
    idset_destroy(d);
    idset_destroy(u);
    idset_destroy(b);
    idset_destroy(a);
    return 0;
}
/* Output:
 * union: 0-6
 * difference: 0-2
 * intersection: 3-4
 * in one of them: 0-2,5-6
 * 0
 * 0 left
 */
