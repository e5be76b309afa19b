/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Events: see flux_event_decode(3), flux_event_publish(3), flux_event_subscribe(3). */
#ifndef FLUX_EVENT_H
#define FLUX_EVENT_H

#include <flux/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

int flux_event_subscribe(flux_t *h, const char *topic);
int flux_event_unsubscribe(flux_t *h, const char *topic);
flux_future_t *flux_event_subscribe_ex(flux_t *h, const char *topic, int flags);
flux_future_t *flux_event_unsubscribe_ex(flux_t *h, const char *topic, int flags);

int flux_event_decode(const flux_msg_t *msg, const char **topic, const char **s);
int flux_event_decode_raw(const flux_msg_t *msg, const char **topic, const void **data, int *len);
int flux_event_unpack(const flux_msg_t *msg, const char **topic, const char *fmt, ...);
flux_msg_t *flux_event_encode(const char *topic, const char *s);
flux_msg_t *flux_event_encode_raw(const char *topic, const void *data, int len);
flux_msg_t *flux_event_pack(const char *topic, const char *fmt, ...);

/* flags: 0 or FLUX_MSGFLAG_PRIVATE */
flux_future_t *flux_event_publish(flux_t *h, const char *topic, int flags, const char *s);
flux_future_t *flux_event_publish_pack(flux_t *h, const char *topic, int flags, const char *fmt,
                                       ...);
flux_future_t *flux_event_publish_raw(flux_t *h, const char *topic, int flags, const void *data,
                                      int len);
int flux_event_publish_get_seq(flux_future_t *f, int *seq);

#ifdef __cplusplus
}
#endif

#endif
