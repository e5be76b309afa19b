/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Message handlers: see flux_msg_handler_create(3), flux_msg_handler_addvec(3). */
#ifndef FLUX_DISPATCH_H
#define FLUX_DISPATCH_H

#include <flux/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*flux_msg_handler_f)(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg,
                                   void *arg);

flux_msg_handler_t *flux_msg_handler_create(flux_t *h, const struct flux_match match,
                                            flux_msg_handler_f cb, void *arg);
void flux_msg_handler_destroy(flux_msg_handler_t *mh);
void flux_msg_handler_start(flux_msg_handler_t *mh);
void flux_msg_handler_stop(flux_msg_handler_t *mh);
/* Requests are delivered only to senders with one of these roles; default FLUX_ROLE_OWNER. */
void flux_msg_handler_allow_rolemask(flux_msg_handler_t *mh, uint32_t rolemask);
void flux_msg_handler_deny_rolemask(flux_msg_handler_t *mh, uint32_t rolemask);

struct flux_msg_handler_spec {
    int typemask;
    const char *topic_glob;
    flux_msg_handler_f cb;
    uint32_t rolemask;
};
#define FLUX_MSGHANDLER_TABLE_END \
    {                             \
        0, NULL, NULL, 0          \
    }

int flux_msg_handler_addvec(flux_t *h, const struct flux_msg_handler_spec tab[], void *arg,
                            flux_msg_handler_t **handlers[]);
void flux_msg_handler_delvec(flux_msg_handler_t *handlers[]);

/* A clone's dispatcher takes what its own handlers and RPCs want; the rest stays queued, in order,
 * for the handle that was opened. Call this when done with a clone: everybody looks at the queue
 * again.
 */
int flux_dispatch_requeue(flux_t *h);

#ifdef __cplusplus
}
#endif

#endif
