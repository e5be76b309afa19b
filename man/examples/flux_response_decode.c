/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_msg_t *msg = flux_request_encode("attr.get", "{\"name\":\"no.such\"}");
    struct flux_match match = FLUX_MATCH_RESPONSE;
    const char *topic, *s;

    if (!h || !msg)
        err(1, "set-up");
    match.matchtag = flux_matchtag_alloc(h);
    if (flux_msg_set_matchtag(msg, match.matchtag) < 0 || flux_send(h, msg, 0) < 0)
        err(1, "flux_send");
    flux_msg_destroy(msg);
    if (!(msg = flux_recv(h, match, 0)))
        err(1, "flux_recv");
    if (flux_response_decode(msg, &topic, &s) < 0)
        printf("%s: %s\n", topic, strerror(errno));
    if (flux_response_decode_error(msg, &s) == 0)
        printf("which means: %s\n", s);
    flux_msg_destroy(msg);
    flux_matchtag_free(h, match.matchtag);
    flux_close(h);
    return 0;
}
/* Output:
 * attr.get: No such file or directory
 * which means: ...
 */
