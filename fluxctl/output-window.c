/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The router drops a client that has 64 MiB, or 65,536 messages, to read (flux-broker(8)); each
 * message counts for IODATA_COST beyond its data, so TOTAL_MAX is within both. */
#include "output-window.h"

#include "base/iodata.h"

#define TOTAL_MAX (24 << 20)
#define LEAST     4096 /* of a process */
#define MOST      (1 << 20)

void output_window_init(struct output_window *w, size_t count)
{
    const size_t share = TOTAL_MAX / (count > 0 ? count : 1);

    *w = (struct output_window){ .size = share < LEAST ? LEAST : share > MOST ? MOST : share };
}

void output_window_take(struct output_window *w, flux_future_t *f, uint32_t rank, size_t size)
{
    w->taken += size + IODATA_COST;
    if (w->taken < w->size / 4)
        return;
    flux_future_destroy(flux_rpc_pack(
        flux_future_get_flux(f), "rexec.read", rank, FLUX_RPC_NORESPONSE, "{s:I s:I}", "matchtag",
        (json_int_t)flux_rpc_get_matchtag(f), "bytes", (json_int_t)w->taken));
    w->taken = 0;
}
