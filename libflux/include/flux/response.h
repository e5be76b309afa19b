/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Response messages: see flux_respond(3), flux_response_decode(3). */
#ifndef FLUX_RESPONSE_H
#define FLUX_RESPONSE_H

#include <flux/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Decoding fails with the error number carried by an error response. */
int flux_response_decode(const flux_msg_t *msg, const char **topic, const char **s);
int flux_response_decode_raw(const flux_msg_t *msg, const char **topic, const void **data,
                             int *len);
int flux_response_decode_error(const flux_msg_t *msg, const char **errstr);

flux_msg_t *flux_response_derive(const flux_msg_t *request, int errnum);

int flux_respond(flux_t *h, const flux_msg_t *request, const char *s);
int flux_respond_pack(flux_t *h, const flux_msg_t *request, const char *fmt, ...);
int flux_respond_raw(flux_t *h, const flux_msg_t *request, const void *data, int length);
int flux_respond_error(flux_t *h, const flux_msg_t *request, int errnum, const char *errmsg);

#ifdef __cplusplus
}
#endif

#endif
