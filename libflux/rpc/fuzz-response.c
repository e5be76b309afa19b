/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Whatever a router may send as a response: the input becomes the payload (and, by its first byte,
 * the error number and the way of reading it) of a response to an RPC, or a datagram as it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <flux/core.h>

#include "rpc/handle_impl.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all_ways(flux_future_t *f)
{
    const char *s, *errstr;
    const void *buf;
    int len, i;
    int64_t big;

    (void)flux_rpc_get(f, &s);
    (void)flux_rpc_get_raw(f, &buf, &len);
    (void)flux_rpc_get_unpack(f, "{s:s}", "value", &s);
    (void)flux_rpc_get_unpack(f, "{s:i s?I s?s}", "seq", &i, "id", &big, "errstr", &s);
    errstr = flux_future_error_string(f);
    if (errstr && strlen(errstr) > 1u << 30)
        abort();
}

static void as_payload(flux_t *h, int peer, const uint8_t *data, size_t size)
{
    flux_future_t *f = flux_rpc(h, "a.b", NULL, FLUX_NODEID_ANY, 0);
    flux_msg_t *req = flux_request_encode("a.b", NULL);
    flux_msg_t *rsp;
    size_t len = 0;
    void *buf = NULL;

    if (!f || !req || flux_msg_set_matchtag(req, flux_rpc_get_matchtag(f)) < 0)
        abort();
    rsp = flux_response_derive(req, data[0] & 1 ? data[0] : 0);
    if (rsp && flux_msg_set_payload(rsp, data + 1, size - 1) == 0 &&
        flux_msg_encode(rsp, &buf, &len) == 0 && send(peer, buf, len, MSG_DONTWAIT) == (ssize_t)len)
        read_all_ways(f);
    free(buf);
    flux_msg_destroy(rsp);
    flux_msg_destroy(req);
    flux_future_destroy(f);
}

static void as_datagram(flux_t *h, int peer, const uint8_t *data, size_t size)
{
    flux_future_t *f = flux_rpc(h, "a.b", NULL, FLUX_NODEID_ANY, FLUX_RPC_STREAMING);

    if (send(peer, data, size, MSG_DONTWAIT) == (ssize_t)size && flux_future_wait_for(f, 1e-6) == 0)
        read_all_ways(f);
    flux_future_destroy(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int sv[2];
    flux_t *h;

    if (size < 2 || size > 60000)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return 0;
    h = handle_open_fd(sv[0], 0);
    if (h) {
        as_payload(h, sv[1], data, size);
        as_datagram(h, sv[1], data, size);
        flux_close(h);
    }
    close(sv[1]);
    return 0;
}
