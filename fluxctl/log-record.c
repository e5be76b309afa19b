/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records of the log. Control characters in a message are shown as dots: a log must not drive the
 * terminal. */
#include "log-record.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    snprintf(r->service, sizeof(r->service), "%s",
             strncmp(service, "flux-", 5) == 0 ? service + 5 : service);
    r->message = strdup(field(o, "MESSAGE", ""));
    return r->message ? 0 : -ENOMEM;
}

void log_record_deinit(struct log_record *r)
{
    free(r->message);
    r->message = NULL;
}

void log_record_print(const struct log_record *r, FILE *f)
{
    time_t seconds = (time_t)(r->usec / 1000000);
    char stamp[40] = "";
    struct tm tm;

    if (gmtime_r(&seconds, &tm))
        (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    fprintf(f, "%s.%06uZ %s.%s[%s]: ", stamp, (unsigned)(r->usec % 1000000), r->service,
            log_level_name(r->level), r->rank);
    for (const char *s = r->message; *s; s++)
        fputc(iscntrl((unsigned char)*s) ? '.' : *s, f);
    fputc('\n', f);
}
