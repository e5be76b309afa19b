/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One transport of a connection: to the router, or to a service of this node that is called at its
 * own socket. */
#ifndef RPC_LINE_H
#define RPC_LINE_H

#include "base/list.h"
#include "rpc/connector.h"

struct raw_request;
TAILQ_HEAD(raw_request_list, raw_request);

struct line {
    TAILQ_ENTRY(line) link;
    struct connector *connector; /* NULL: there is none at present */
    char *path;                  /* of a service's socket, below RUNDIR; NULL: the router's */
    bool readable;               /* somebody polled, or must ask the kernel to know */
    bool greeted;                /* a message came since it was connected */
    int refused_errnum;          /* the service turned us away, and why; 0, NULL: it did not */
    char *refused_reason;
    struct raw_request_list raw; /* requests in flight that are no RPCs */
};
TAILQ_HEAD(line_list, line);

void line_init(struct line *l);
void line_deinit(struct line *l); /* closes */

int line_fd(const struct line *l); /* -EBADF: none */
bool line_pending(const struct line *l);
/* Received already, not seen by poll(2). */
bool line_has_input(const struct line *l);
/* Send queued output until there is none or the deadline has passed. 0, -ETIMEDOUT, or what made
 * the transport fail. */
int line_drain(struct line *l, uint64_t deadline_usec);

/* What poll(2) and epoll_wait(2) take for a deadline. */
int line_timeout_msec(uint64_t deadline_usec);

/* Requests that were sent with flux_send(3) and are to be answered: nobody else would answer them
 * when the line is lost. */
void line_raw_sent(struct line *l, const flux_msg_t *request);
void line_raw_answered(struct line *l, const flux_msg_t *response);
/* An error response to one of them, which is forgotten; NULL: there is none left. */
flux_msg_t *line_raw_fail(struct line *l, int errnum, const char *reason);

#endif
