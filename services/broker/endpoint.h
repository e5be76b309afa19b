/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* URIs of the tree, before ZeroMQ sees them, which says no more than "invalid argument":
 * tcp://HOST:PORT or ipc://PATH. */
#ifndef BROKER_ENDPOINT_H
#define BROKER_ENDPOINT_H

#include <stdbool.h>
#include <flux/types.h>

#define ENDPOINT_SIZE      320
#define ENDPOINT_HOST_SIZE 254 /* a name of the domain name system, with its NUL */

enum endpoint_use { ENDPOINT_BIND, ENDPOINT_CONNECT };

/* what begins the sentence. HOST: a name, an IPv4 address, an IPv6 address in brackets (ipv6 must
 * allow it), to bind also the name of an interface or "*". PORT: 1 to 65535. 0 or -EINVAL. */
int endpoint_check(const char *what, const char *uri, enum endpoint_use use, bool ipv6,
                   flux_error_t *error);
/* A name of a host as it can be in a URI: letters, digits, "-", "_", "." */
bool endpoint_host_valid(const char *host, size_t size);

#endif
