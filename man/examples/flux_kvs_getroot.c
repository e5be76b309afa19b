/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <unistd.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f, *f2;
    const char *ref, *treeobj;
    uint32_t owner;
    int seq, version;

    if (!h || !(f = flux_kvs_getroot(h, NULL, 0)))
        err(1, "flux_kvs_getroot");
    if (flux_kvs_getroot_get_blobref(f, &ref) < 0 ||
        flux_kvs_getroot_get_treeobj(f, &treeobj) < 0 ||
        flux_kvs_getroot_get_sequence(f, &seq) < 0 || flux_kvs_getroot_get_owner(f, &owner) < 0)
        err(1, "getroot");
    printf("owner: %s\n", owner == getuid() ? "we" : "somebody else");
    printf("root: %s\n", strstr(treeobj, ref) ? "the same" : "different");
    if (flux_kvs_get_version(h, NULL, &version) == 0)
        printf("version: %s\n", version >= seq ? "the same or later" : "earlier");
    f2 = flux_content_load(h, ref, 0);
    if (!f2 || flux_content_load_get(f2, NULL, NULL) < 0)
        err(1, "flux_content_load");
    printf("stored: yes\n");
    flux_future_destroy(f2);
    flux_future_destroy(f);

    f = flux_kvs_getroot(h, "no-such-namespace", 0);
    if (f && flux_kvs_getroot_get_sequence(f, &seq) < 0)
        printf("no-such-namespace: %s\n", strerror(errno));
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * owner: we
 * root: the same
 * version: the same or later
 * stored: yes
 * no-such-namespace: Operation not supported
 */
