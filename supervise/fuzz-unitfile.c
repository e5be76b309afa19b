/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Unit files and notifications from bytes. The first byte chooses: a unit is read both as a service
 * and as a socket. */
#include <stdlib.h>
#include <string.h>

#include "supervise/notify.h"
#include "supervise/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct unit_paths paths = { .rundir = "/r", .statedir = "/s", .logdir = "/l" };

static void read_notification(const uint8_t *data, size_t size)
{
    struct notification n;
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    notification_parse(text, &n);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(unitfile_freep) struct unitfile *uf = NULL;
    struct service_unit *svc;
    struct socket_unit *sock;
    flux_error_t error;

    read_notification(data, size);
    if (unitfile_parse((const char *)data, size, &uf, &error) < 0)
        return 0;
    if (service_unit_parse("flux-x", uf, &paths, &svc, &error) == 0) {
        if (!svc->argv[0] || svc->argv[0][0] != '/')
            abort();
        (void)service_unit_free(svc);
    }
    if (socket_unit_parse("flux-x", uf, &paths, &sock, &error) == 0) {
        if (!sock->listen[0] || !sock->service)
            abort();
        (void)socket_unit_free(sock);
    }
    return 0;
}
