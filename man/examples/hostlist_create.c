/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <flux/hostlist.h>

int main(void)
{
    struct hostlist *hl = hostlist_decode("node[2-3],login");
    char *s;

    if (!hl || hostlist_append(hl, "node[0-3]") != 4)
        err(1, "hostlist");
    printf("%d: %s ... %s\n", hostlist_count(hl), hostlist_nth(hl, 0),
           hostlist_nth(hl, hostlist_count(hl) - 1));
    printf("login is number %d\n", hostlist_find(hl, "login"));
    hostlist_uniq(hl);
    if (!(s = hostlist_encode(hl)))
        err(1, "hostlist_encode");
    printf("%s\n", s);
    if (!hostlist_decode("node[3-0"))
        printf("%s\n", strerror(errno));
    free(s);
    hostlist_destroy(hl);
    return 0;
}
/* Output:
 * 7: node2 ... node3
 * login is number 2
 * node[2-3],login,node[0-1]
 * Invalid argument
 */
