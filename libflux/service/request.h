/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Inside of requests, for the skeleton: service.h has what daemons see. */
#ifndef SERVICE_REQUEST_H
#define SERVICE_REQUEST_H

#include "base/hash.h"
#include "service/origin.h"
#include "service/service.h"

struct request_index; /* requests that outlived their handler, by the client's route */

struct request {
    int refs;
    struct service *svc;
    struct origin *origin; /* NULL: ended, or the connection is lost */
    const flux_msg_t *msg;
    json_t *json;
    char *sentence; /* request_explain() */
    bool ended;     /* no more answers: given, or the client is gone */
    bool answered;  /* at least once */
    bool resumable; /* RPC_METHOD_RESUME */
    bool held;      /* read, not begun: for the next process */
    json_t *resume; /* what the process before left for it, or NULL */
    bool charged;
    uint32_t charged_uid;
    size_t charged_bytes;
    void (*on_gone)(struct request *req, void *arg);
    void *on_gone_arg;
    TAILQ_ENTRY(request) origin_entry;
    struct route_requests *route; /* NULL: not indexed */
    TAILQ_ENTRY(request) route_entry;
};

/* origin is borrowed and must outlive the request or be deinited. 0 or -ENOMEM. */
int request_new(struct service *svc, struct origin *origin, const flux_msg_t *msg,
                struct request **ret);
int request_charge(struct request *req, flux_error_t *error);
/* Decode the payload as a JSON object (none: empty object) and check it. 0 or -EPROTO. */
int request_decode(struct request *req, const char *shape, flux_error_t *error);
/* Make the request findable by its client's first route. */
int request_keep(struct request *req);
/* The client whose route comes first in msg left: its requests over that connection are gone. */
void request_index_disconnect(struct service *svc, struct origin *origin, const flux_msg_t *msg);
/* The client left: run on_gone, answer nothing more. */
void request_lost(struct request *req);
/* Answer ECONNRESET: this process will not. */
void request_forget(struct request *req);
/* It ends here without a word, because the next process has it. */
void request_hand_on(struct request *req);
bool request_is_noresponse(const struct request *req);

struct request_index *request_index_free(struct request_index *index);
size_t request_count(const struct service *svc); /* begun and not ended */

#endif
