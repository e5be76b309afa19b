/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The unanswered requests of a connection, on their way to the process that follows a planned
 * restart. */
#ifndef SERVICE_REQUESTS_H
#define SERVICE_REQUESTS_H

#include <jansson.h>
#include "service/origin.h"

#define REQUESTS_BYTES_MAX (16u << 20) /* of one connection */

struct service;

/* Answer ECONNRESET to those that the next process cannot begin again. */
void requests_refuse(struct origin *o);
/* The others: [{"msg":BASE64, "resume"?:OBJECT}, ...]; new. NULL: over REQUESTS_BYTES_MAX, or no
 * memory. */
json_t *requests_encode(const struct origin *o);
/* They are in good hands: here they end, silently. */
void requests_hand_on(struct origin *o);
/* In the next process: as if they came again, in the same order. */
void requests_resume(struct service *svc, struct origin *o, const json_t *requests);

#endif
