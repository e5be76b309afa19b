/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is said to a client that is turned away at the door: one message, an error response to
 * "broker.refuse" with matchtag 0; then the connection ends. libflux fails with errnum and why
 * whatever the client has asked. */
#ifndef SERVICE_REFUSAL_H
#define SERVICE_REFUSAL_H

/* One attempt: who is refused gets no queue. The descriptor stays the caller's. */
void refusal_send(int fd, int errnum, const char *why);

#endif
