/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* log.append: a client's line goes to the log of this node, marked with his uid. Refuses more lines
 * than user_may_log() allows (lost, counted nowhere: there is nobody to answer), and lets only the
 * owner say which program he is. Lines are cut at LINE_MAX_BYTES. */
#include <string.h>

#include "base/monotime.h"
#include "broker/logline.h"
#include "broker/manager.h"
#include "service/log.h"

#define LINE_MAX_BYTES 2048

int log_append(struct client *c, const void *data, size_t size)
{
    struct logline line;
    char user[32], rank[80], identifier[96], pid[96];
    const char *fields[] = { user, "FLUX_EVENT=log.append", identifier, rank, pid, NULL };
    const int rc = logline_parse(data, size, &line);

    if (rc < 0)
        return rc;
    if (c->user && !user_may_log(c->user, monotime_usec()))
        return -EAGAIN;
    (void)snprintf(user, sizeof(user), "FLUX_USERID=%u", c->cred.uid);
    (void)snprintf(identifier, sizeof(identifier), "SYSLOG_IDENTIFIER=%s",
                   client_is_guest(c) || !line.appname[0] ? "flux-log" : line.appname);
    (void)snprintf(rank, sizeof(rank), "FLUX_LOG_HOST=%s", line.hostname);
    (void)snprintf(pid, sizeof(pid), "FLUX_LOG_PROCID=%s", line.procid);
    log_fields(line.severity, fields, "%.*s",
               (int)(line.text_size < LINE_MAX_BYTES ? line.text_size : LINE_MAX_BYTES), line.text);
    return 0;
}
