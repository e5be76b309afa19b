/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f, *f2;
    const char *ref;
    const void *buf;
    size_t len;

    if (!h)
        err(1, "flux_open");
    f = flux_content_store(h, "hello", 5, 0);
    if (!f || flux_content_store_get(f, &ref) < 0)
        err(1, "flux_content_store");
    printf("stored as %s\n", ref);
    f2 = flux_content_load(h, ref, 0);
    if (!f2 || flux_content_load_get(f2, &buf, &len) < 0)
        err(1, "flux_content_load");
    printf("%zu bytes: %.*s\n", len, (int)len, (const char *)buf);
    flux_future_destroy(f2);

    f2 = flux_content_load(h, ref, CONTENT_FLAG_UPSTREAM); /* of rank 0 */
    if (!f2 || flux_content_load_get(f2, NULL, NULL) < 0)
        printf("upstream: %s\n", strerror(errno));
    flux_future_destroy(f2);
    flux_future_destroy(f); /* ref was its */
    flux_close(h);
    return 0;
}
/* Output:
 * stored as ...-...
 * 5 bytes: hello
 * upstream: No route to host
 */
