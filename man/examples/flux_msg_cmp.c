/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_msg_t *msg = flux_event_encode("job.finish", NULL);
    struct flux_match match = FLUX_MATCH_EVENT;

    if (!msg)
        err(1, "flux_event_encode");
    printf("any event: %d\n", flux_msg_cmp(msg, match));
    match.topic_glob = "job.*";
    printf("job.*: %d\n", flux_msg_cmp(msg, match));
    match.topic_glob = "kvs.*";
    printf("kvs.*: %d\n", flux_msg_cmp(msg, match));
    printf("request: %d\n", flux_msg_cmp(msg, FLUX_MATCH_REQUEST));
    flux_msg_destroy(msg);
    return 0;
}
/* Output:
 * any event: 1
 * job.*: 1
 * kvs.*: 0
 * request: 0
 */
