/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Transports, one by one; which of them a message takes is decided in conn.c. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <flux/response.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "rpc/conn.h"
#include "wire/message.h"

struct raw_request {
    TAILQ_ENTRY(raw_request) link;
    flux_msg_t *msg; /* without its payload */
};

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

void line_init(struct line *l)
{
    *l = (struct line){ 0 };
    TAILQ_INIT(&l->raw);
}

static void raw_free(struct line *l, struct raw_request *raw)
{
    TAILQ_REMOVE(&l->raw, raw, link);
    flux_msg_destroy(raw->msg);
    free(raw);
}

void line_deinit(struct line *l)
{
    struct raw_request *raw;

    while ((raw = TAILQ_FIRST(&l->raw)))
        raw_free(l, raw);
    if (l->connector)
        l->connector = l->connector->ops->free(l->connector);
    free(l->path);
    l->path = NULL;
    free(l->refused_reason);
    l->refused_reason = NULL;
}

int line_fd(const struct line *l)
{
    return l->connector ? l->connector->ops->fd(l->connector) : -EBADF;
}

bool line_pending(const struct line *l)
{
    return l->connector && l->connector->ops->pending(l->connector);
}

bool line_has_input(const struct line *l)
{
    return l->connector && l->connector->ops->has_input(l->connector);
}

int line_timeout_msec(uint64_t deadline_usec)
{
    uint64_t now;

    if (deadline_usec == CONN_FOREVER)
        return -1;
    now = monotime_usec();
    if (now >= deadline_usec)
        return 0;
    /* Rounded up, so that no caller spins through the last millisecond. */
    return (deadline_usec - now) / 1000 > 3600000 ? 3600000 : (deadline_usec - now + 999) / 1000;
}

int line_drain(struct line *l, uint64_t deadline_usec)
{
    while (line_pending(l)) {
        struct pollfd pfd = { .fd = line_fd(l), .events = POLLOUT };
        int n = poll(&pfd, 1, line_timeout_msec(deadline_usec));
        int rc;

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -ETIMEDOUT;
        rc = l->connector->ops->flush(l->connector);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
    }
    return 0;
}

/* --- requests in flight that are no RPCs --- */

static bool wants_answer(const flux_msg_t *msg)
{
    const struct msg_proto *p = msg_proto(msg);

    return p->type == FLUX_MSGTYPE_REQUEST && p->aux2 != FLUX_MATCHTAG_NONE &&
           !(p->flags & FLUX_MSGFLAG_NORESPONSE);
}

void line_raw_sent(struct line *l, const flux_msg_t *request)
{
    struct raw_request *raw = wants_answer(request) ? calloc(1, sizeof(*raw)) : NULL;

    if (!raw)
        return;
    raw->msg = flux_msg_copy(request, false);
    TAILQ_INSERT_TAIL(&l->raw, raw, link);
    if (!raw->msg)
        raw_free(l, raw);
}

void line_raw_answered(struct line *l, const flux_msg_t *response)
{
    const struct msg_proto *p = msg_proto(response);
    struct raw_request *raw;

    TAILQ_FOREACH (raw, &l->raw, link) {
        if (msg_proto(raw->msg)->aux2 != p->aux2)
            continue;
        if (!(msg_proto(raw->msg)->flags & FLUX_MSGFLAG_STREAMING) || p->aux1 != 0)
            raw_free(l, raw);
        return;
    }
}

flux_msg_t *line_raw_fail(struct line *l, int errnum, const char *reason)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    struct raw_request *raw;

    while (!msg && (raw = TAILQ_FIRST(&l->raw))) {
        msg = flux_response_derive(raw->msg, errnum);
        raw_free(l, raw);
    }
    if (msg && flux_msg_set_string(msg, reason) < 0)
        return NULL;
    return TAKE(msg);
}
