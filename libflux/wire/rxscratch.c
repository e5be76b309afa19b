/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Receive buffers: one set per thread, about 1 MiB of address space of which only the pages that
 * messages really fill are ever touched. Freed when the thread ends. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/rxscratch.h"

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;
static _Thread_local struct rx_scratch *scratch;

static void make_key(void)
{
    have_key = pthread_key_create(&key, free) == 0;
}

static struct rx_scratch *scratch_new(void)
{
    CLEANUP(freep) struct rx_scratch *rx = malloc(sizeof(*rx));

    (void)pthread_once(&key_once, make_key);
    if (!rx || !have_key || pthread_setspecific(key, rx) != 0)
        return NULL;
    memset(rx->hdr, 0, sizeof(rx->hdr));
    for (int i = 0; i < RX_BATCH; i++) {
        rx->iov[i] = (struct iovec){ .iov_base = rx->data[i], .iov_len = RX_DATAGRAM };
        rx->hdr[i].msg_hdr.msg_iov = &rx->iov[i];
        rx->hdr[i].msg_hdr.msg_iovlen = 1;
        rx->hdr[i].msg_hdr.msg_control = rx->control[i].buf;
    }
    return TAKE(rx);
}

struct rx_scratch *rx_scratch_get(void)
{
    if (!scratch)
        scratch = scratch_new();
    if (!scratch)
        return NULL;
    for (int i = 0; i < RX_BATCH; i++) {
        scratch->hdr[i].msg_hdr.msg_controllen = sizeof(scratch->control[i].buf);
        scratch->hdr[i].msg_hdr.msg_flags = 0;
    }
    return scratch;
}

int rx_scratch_fds(struct rx_scratch *rx, int i, int *ret_fd)
{
    struct msghdr *h = &rx->hdr[i].msg_hdr;
    int count = 0;

    *ret_fd = -EBADF;
    if (h->msg_controllen == 0)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t k = 0; k < n; k++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + k * sizeof(int), sizeof(fd));
            if (count++ == 0)
                *ret_fd = fd;
            else
                (void)close(fd);
        }
    }
    return count;
}
