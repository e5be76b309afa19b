/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Request messages: see flux_request_decode(3), flux_request_encode(3). */
#ifndef FLUX_REQUEST_H
#define FLUX_REQUEST_H

#include <flux/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

int flux_request_decode(const flux_msg_t *msg, const char **topic, const char **s);
int flux_request_decode_raw(const flux_msg_t *msg, const char **topic, const void **data, int *len);
int flux_request_unpack(const flux_msg_t *msg, const char **topic, const char *fmt, ...);
flux_msg_t *flux_request_encode(const char *topic, const char *s);
flux_msg_t *flux_request_encode_raw(const char *topic, const void *data, int len);

#ifdef __cplusplus
}
#endif

#endif
