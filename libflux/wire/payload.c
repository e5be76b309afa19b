/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The payload of a message: bytes in memory, in a sealed memfd, or both. A memfd is read when
 * somebody asks for the bytes, and made when a large payload is sent; each happens once. Never
 * mapped. A payload does not change once it is complete. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "wire/message_impl.h"

static int result(int rc)
{
    if (rc < 0) {
        errno = -rc;
        return -1;
    }
    return 0;
}

struct msg_payload *msg_payload_ref(struct msg_payload *p)
{
    p->refs++;
    return p;
}

struct msg_payload *msg_payload_unref(struct msg_payload *p)
{
    if (!p || --p->refs > 0)
        return NULL;
    free(p->heap);
    p->heap = NULL;
    p->data = NULL;
    closep(&p->fd);
    p->fd = -EBADF;
    if (!p->home)
        free(p);
    else if (--p->home->block_refs == 0)
        free(p->home);
    return NULL;
}

void msg_payload_clear(flux_msg_t *msg)
{
    json_decref(TAKE(msg->json));
    (void)msg_payload_unref(TAKE(msg->payload));
    msg->proto.flags &= ~FLUX_MSGFLAG_PAYLOAD;
}

struct msg_payload *msg_payload_begin(flux_msg_t *msg)
{
    struct msg_payload *p = &msg->own;

    msg_payload_clear(msg);
    if (p->refs > 0) { /* still held by a queue or a copy */
        p = calloc(1, sizeof(*p));
        if (!p)
            return NULL;
        p->fd = -EBADF;
    } else {
        p->home = msg;
        msg->block_refs++;
    }
    p->refs = 1;
    msg->payload = p;
    msg->proto.flags |= FLUX_MSGFLAG_PAYLOAD;
    return p;
}

static int read_all(int fd, char *buf, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, buf + done, size - done, done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += n;
    }
    return 0;
}

int msg_payload_load(struct msg_payload *p)
{
    CLEANUP(freep) char *buf = NULL;
    int rc;

    if (p->data)
        return 0;
    buf = malloc(p->size > 0 ? p->size : 1);
    if (!buf)
        return -ENOMEM;
    rc = read_all(p->fd, buf, p->size);
    if (rc < 0)
        return rc;
    p->data = p->heap = TAKE(buf);
    return 0;
}

int msg_payload_make_memfd(struct msg_payload *p)
{
    int fd;

    if (p->fd >= 0)
        return 0;
    fd = msg_memfd_create(p->data, p->size);
    if (fd < 0)
        return fd;
    p->fd = fd;
    return 0;
}

int msg_set_payload_fd(flux_msg_t *msg, int fd, size_t size)
{
    CLEANUP(closep) int taken = fd;
    struct msg_payload *p;

    if (!msg || fd < 0 || size > MSG_PAYLOAD_MAX || msg->proto.type == FLUX_MSGTYPE_CONTROL)
        return -EINVAL;
    p = msg_payload_begin(msg);
    if (!p)
        return -ENOMEM;
    p->fd = TAKE_FD(taken);
    p->size = size;
    return 0;
}

/* Give msg a payload in memory that was malloc'd; consumes heap. */
static int set_heap(flux_msg_t *msg, void *heap, size_t size)
{
    struct msg_payload *p = msg_payload_begin(msg);

    if (!p) {
        free(heap);
        return -ENOMEM;
    }
    p->data = p->heap = heap;
    p->size = size;
    return 0;
}

int flux_msg_set_payload(flux_msg_t *msg, const void *buf, int size)
{
    void *heap;

    if (!msg || size < 0 || (size_t)size > MSG_PAYLOAD_MAX || (!buf && size > 0) ||
        (buf && msg->proto.type == FLUX_MSGTYPE_CONTROL))
        return result(-EINVAL);
    if (!buf) {
        msg_payload_clear(msg);
        return 0;
    }
    heap = malloc(size > 0 ? size : 1);
    if (!heap)
        return result(-ENOMEM);
    memcpy(heap, buf, size); /* before the old payload goes: buf may point into it */
    return result(set_heap(msg, heap, size));
}

int flux_msg_get_payload(const flux_msg_t *msg, const void **buf, int *size)
{
    int rc;

    if (!msg)
        return result(-EINVAL);
    if (!msg->payload)
        return result(-EPROTO);
    rc = msg_payload_load(msg->payload);
    if (rc < 0)
        return result(rc);
    if (buf)
        *buf = msg->payload->data;
    if (size)
        *size = msg->payload->size;
    return 0;
}

bool flux_msg_has_payload(const flux_msg_t *msg)
{
    return msg && msg->payload;
}

size_t msg_payload_size(const flux_msg_t *msg)
{
    return msg->payload ? msg->payload->size : 0;
}

int msg_payload_fd(const flux_msg_t *msg)
{
    return msg->payload ? msg->payload->fd : -EBADF;
}

int flux_msg_set_string(flux_msg_t *msg, const char *s)
{
    size_t size = s ? strlen(s) + 1 : 0;

    if (size > MSG_PAYLOAD_MAX)
        return result(-EINVAL);
    return flux_msg_set_payload(msg, s, size);
}

int flux_msg_get_string(const flux_msg_t *msg, const char **s)
{
    const void *buf;
    int size;

    if (!msg || !s)
        return result(-EINVAL);
    if (!msg->payload) {
        *s = NULL;
        return 0;
    }
    if (flux_msg_get_payload(msg, &buf, &size) < 0)
        return -1;
    if (size == 0 || memchr(buf, '\0', size) != (const char *)buf + size - 1)
        return result(-EPROTO);
    *s = buf;
    return 0;
}
