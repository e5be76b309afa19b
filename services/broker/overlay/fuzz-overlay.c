/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Frames of a neighbour: the input is cut into frames of a length byte (times 16) and its bytes. On
 * the way sessions are paused and go on. */
#include <stdint.h>
#include <string.h>

#include "broker/overlay/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(node_freep) struct node *n = NULL;
    struct node_control control;
    struct refusal refusal;
    struct hello hello;

    (void)hello_decode(data, size, &hello);
    (void)refusal_decode(data, size, &refusal);
    if (node_new(NULL, 1, "host", NULL, &n) < 0)
        return 0;
    while (size > 1) {
        const size_t want = (size_t)data[0] * 16 + 1;
        const size_t frame = want < size - 1 ? want : size - 1;
        const char *reason;
        flux_msg_t *msg;

        if (node_receive(n, data + 1, frame, &msg, &control, &reason) < 0)
            break;
        flux_msg_destroy(msg);
        if (control.type == NODE_PAUSE)
            node_on_pause(n);
        else if (control.type == NODE_PAUSED)
            node_on_paused(n);
        else if (control.type == NODE_ALIVE) /* stands for SIGTERM */
            node_pause(n);
        else if (control.type == NODE_WELCOME)
            node_resume(n);
        data += frame + 1;
        size -= frame + 1;
    }
    return 0;
}
