/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is taken is removed from the store at once, before it is looked at: a process that dies of
 * it does not pass it on. */
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/jsonx.h"
#include "service/fdstore.h"
#include "service/service.h"
#include "wire/message.h"

#define NAME_SIZE   256
#define JSON_MAX    (256u << 20)
#define SETTLE_USEC 500000

bool fdstore_possible(void)
{
    const char *path = getenv("NOTIFY_SOCKET");

    return path && *path;
}

int fdstore_put(const char *name, int fd)
{
    char text[NAME_SIZE + 32];
    int rc;

    (void)snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
    rc = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
    return rc < 0 ? rc : rc == 0 ? -ENOTSUP : 0;
}

int fdstore_put_json(const char *name, const json_t *o)
{
    CLEANUP(freep) char *text = NULL;
    CLEANUP(closep) int fd = -EBADF;
    size_t size;

    text = o ? jsonx_encode(o, &size) : NULL;
    if (!text)
        return -ENOMEM;
    fd = msg_memfd_create(text, size);
    return fd < 0 ? fd : fdstore_put(name, fd);
}

void fdstore_settle(void)
{
    (void)sd_notify_barrier(0, SETTLE_USEC);
}

void fdstore_remove(const char *name)
{
    (void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

int fdstore_take(struct service *svc, const char *name)
{
    const int fd = service_take_listen_fd(svc, name);

    if (fd >= 0)
        fdstore_remove(name);
    return fd;
}

json_t *fdstore_take_json(struct service *svc, const char *name)
{
    CLEANUP(closep) int fd = fdstore_take(svc, name);
    CLEANUP(freep) char *text = NULL;
    flux_error_t error;
    size_t size;

    if (fd < 0 || msg_memfd_check(fd, JSON_MAX, &size) < 0 || size == 0)
        return NULL;
    text = malloc(size);
    if (!text || pread(fd, text, size, 0) != (ssize_t)size)
        return NULL;
    return jsonx_decode_object(text, size - (text[size - 1] == '\0'), &error);
}
