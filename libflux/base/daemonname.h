/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Services and daemons: which of the daemons offers a service that has another name than it. */
#ifndef BASE_DAEMONNAME_H
#define BASE_DAEMONNAME_H

/* For people: "exec" for "rexec" and "job-exec", else the name of the service itself. */
const char *daemonname(const char *service);

#endif
