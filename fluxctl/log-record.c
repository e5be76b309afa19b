/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records of the log. */
#include "log-record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/jsonx.h"
#include "base/number.h"

static const char *const levels[] = { "emerg",   "alert",  "crit", "err",
                                      "warning", "notice", "info", "debug" };

const char *log_level_name(int level)
{
    return level >= 0 && level < (int)ARRAY_SIZE(levels) ? levels[level] : "info";
}

int log_level_parse(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        if (strcmp(name, levels[i]) == 0)
            return (int)i;
    }
    if (strcmp(name, "error") == 0)
        return 3;
    return -1;
}

static const char *field(const json_t *o, const char *name, const char *fallback)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : fallback;
}

void log_record_name_service(struct log_record *r, const char *identifier)
{
    snprintf(r->service, sizeof(r->service), "%s",
             strncmp(identifier, "flux-", 5) == 0 ? identifier + 5 : identifier);
}

int log_record_parse(struct log_record *r, const char *line, size_t len)
{
    CLEANUP(json_decrefp) json_t *o = jsonx_decode_object(line, len, NULL);
    const char *service = field(o, "SYSLOG_IDENTIFIER", field(o, "FLUX_SERVICE", "flux"));

    if (!o)
        return -EPROTO;
    *r = (struct log_record){ .level = 6 };
    if (number_parse_u64(field(o, "__REALTIME_TIMESTAMP", ""), UINT64_MAX, &r->usec) < 0)
        return -EPROTO;
    (void)number_parse_int(field(o, "PRIORITY", ""), 0, 7, &r->level);
    snprintf(r->rank, sizeof(r->rank), "%s", field(o, "FLUX_RANK", "?"));
    log_record_name_service(r, service);
    r->message = strdup(field(o, "MESSAGE", ""));
    return r->message ? 0 : -ENOMEM;
}

void log_record_deinit(struct log_record *r)
{
    free(r->message);
    r->message = NULL;
}
