/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* ask TOPIC: one request to this node with the payload from stdin. Exits with 0 if it was answered,
 * else with the errno of the answer. */
#include <errno.h>
#include <stdio.h>

#include <flux/core.h>

int main(int argc, char **argv)
{
    static char payload[1 << 20];
    const size_t n = fread(payload, 1, sizeof(payload) - 1, stdin);
    flux_t *h = argc == 2 ? flux_open(NULL, 0) : NULL;
    flux_future_t *f = h ? flux_rpc(h, argv[1], n ? payload : NULL, FLUX_NODEID_ANY, 0) : NULL;
    const int errnum = !f || flux_rpc_get(f, NULL) < 0 ? errno : 0;

    flux_future_destroy(f);
    flux_close(h);
    return errnum;
}
