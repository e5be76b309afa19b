/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* No look-up of names: what a name means may change, and only ZeroMQ's threads may wait for it. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "base/errorx.h"
#include "base/number.h"
#include "broker/endpoint.h"

bool endpoint_host_valid(const char *host, size_t size)
{
    if (size == 0 || size >= ENDPOINT_HOST_SIZE)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr("-_.", host[i]))
            return false;
    return true;
}

static int check_port(const char *what, const char *uri, const char *port, flux_error_t *error)
{
    int n;

    if (number_parse_int(port, 1, 65535, &n) < 0)
        return errorx_fail(error, EINVAL, "%s: '%s' has no port from 1 to 65535 at its end", what,
                           uri);
    return 0;
}

/* "[ADDRESS]:PORT", from the bracket on; with a zone, "fe80::1%eth0", maybe. */
static int check_ipv6(const char *what, const char *uri, const char *p, bool ipv6,
                      flux_error_t *error)
{
    const char *end = strchr(p, ']');
    char address[INET6_ADDRSTRLEN];
    struct in6_addr in6;
    size_t len;

    if (!end || end[1] != ':')
        return errorx_fail(error, EINVAL, "%s: '%s' is not tcp://[ADDRESS]:PORT", what, uri);
    len = strcspn(p + 1, "]%");
    if (len < sizeof(address)) {
        memcpy(address, p + 1, len);
        address[len] = '\0';
    }
    if (len >= sizeof(address) || inet_pton(AF_INET6, address, &in6) != 1)
        return errorx_fail(error, EINVAL, "%s: '%s' has no IPv6 address between its brackets", what,
                           uri);
    if (!ipv6)
        return errorx_fail(error, EINVAL, "%s: '%s' needs bootstrap.enable_ipv6 = true", what, uri);
    return check_port(what, uri, end + 2, error);
}

static int check_tcp(const char *what, const char *uri, const char *p, enum endpoint_use use,
                     flux_error_t *error)
{
    const size_t len = strcspn(p, ":");

    if (strchr(p, ':') != strrchr(p, ':'))
        return errorx_fail(error, EINVAL,
                           "%s: '%s' has more than one colon: an IPv6 address needs brackets, as "
                           "in tcp://[::1]:8050",
                           what, uri);
    if (len == 1 && *p == '*') {
        if (use == ENDPOINT_CONNECT)
            return errorx_fail(error, EINVAL,
                               "%s: '%s' names no host: nobody can connect to all addresses", what,
                               uri);
    } else if (!endpoint_host_valid(p, len)) {
        return errorx_fail(error, EINVAL, "%s: '%s' is not tcp://HOST:PORT", what, uri);
    }
    return check_port(what, uri, p[len] ? p + len + 1 : "", error);
}

static int check_ipc(const char *what, const char *uri, const char *path, flux_error_t *error)
{
    const size_t limit = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (path[0] != '/')
        return errorx_fail(error, EINVAL, "%s: '%s' has no absolute path", what, uri);
    if (strlen(path) > limit)
        return errorx_fail(error, EINVAL, "%s: '%s': a path of a socket has at most %zu bytes",
                           what, uri, limit);
    return 0;
}

int endpoint_check(const char *what, const char *uri, enum endpoint_use use, bool ipv6,
                   flux_error_t *error)
{
    const char *rest = uri + 6;

    for (const char *p = uri; *p; p++)
        if (*p <= ' ' || *p > '~')
            return errorx_fail(error, EINVAL, "%s: '%s' has a character that no URI has", what,
                               uri);
    if (strncmp(uri, "ipc://", 6) == 0)
        return check_ipc(what, uri, rest, error);
    if (strncmp(uri, "tcp://", 6) != 0)
        return errorx_fail(error, EINVAL, "%s: '%s' does not begin with tcp:// or ipc://", what,
                           uri);
    return *rest == '[' ? check_ipv6(what, uri, rest, ipv6, error)
                        : check_tcp(what, uri, rest, use, error);
}
