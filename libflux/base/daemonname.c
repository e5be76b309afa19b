/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The further names of sockets in units/meson.build. A service that is not listed here is called
 * as its daemon is, which is all that a reader of a message needs. */
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/daemonname.h"

static const struct {
    const char *service, *daemon;
} others[] = {
    { "feasibility", "sched" }, { "job-exec", "exec" }, { "job-info", "job-list" },
    { "kvs-watch", "kvs" },     { "rexec", "exec" },
};

const char *daemonname(const char *service)
{
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (strcmp(service, others[i].service) == 0)
            return others[i].daemon;
    return service;
}
