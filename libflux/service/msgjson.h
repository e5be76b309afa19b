/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Whole messages (RFC 3) within JSON, as base64: for what one process leaves to the next. */
#ifndef SERVICE_MSGJSON_H
#define SERVICE_MSGJSON_H

#include <flux/message.h>
#include <jansson.h>

/* A new string, or NULL: no memory. */
json_t *msgjson_encode(const flux_msg_t *msg);
/* NULL: that is no message. */
flux_msg_t *msgjson_decode(const json_t *o);

#endif
