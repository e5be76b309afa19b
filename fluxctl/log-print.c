/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Control characters are shown as dots, but in JSON, where they are escaped: a log must not drive
 * the terminal, and whoever may write to the journal chooses all the fields. */
#include "log-print.h"

#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "color.h"
#include "plain-text.h"

#define SAME_USEC 60000000 /* after so long without a record the time is shown again */

static void format_time(uint64_t usec, bool local, const char *format, char *buf, size_t size)
{
    const time_t seconds = (time_t)(usec / 1000000);
    struct tm tm;

    buf[0] = '\0';
    if (local ? localtime_r(&seconds, &tm) : gmtime_r(&seconds, &tm))
        (void)strftime(buf, size, format, &tm);
}

/* Nodes' clocks may differ: what is older than the one before gets its time too. */
static bool is_soon_after(uint64_t usec, uint64_t last_usec)
{
    return last_usec > 0 && usec >= last_usec && usec - last_usec < SAME_USEC;
}

static void print_time(const struct log_printer *p, const struct log_record *r, FILE *f)
{
    char text[64], stamp[40];

    if (p->format == LOG_FORMAT_TEXT) {
        format_time(r->usec, false, "%Y-%m-%dT%H:%M:%S", stamp, sizeof(stamp));
        (void)snprintf(text, sizeof(text), "%s.%06uZ", stamp, (unsigned)(r->usec % 1000000));
    } else if (is_soon_after(r->usec, p->last_usec)) {
        (void)snprintf(text, sizeof(text), "[%+11.6f]", (double)(r->usec - p->last_usec) * 1e-6);
    } else {
        format_time(r->usec, true, "[%b%d %H:%M]", text, sizeof(text));
    }
    fprintf(f, "%s%s%s ", p->colors ? COLOR_GREEN : "", text, p->colors ? COLOR_END : "");
}

static const char *color_of(int level)
{
    return level <= 3 ? COLOR_RED : level == 4 ? COLOR_BOLD : level == 7 ? COLOR_DIM : "";
}

static void print_line(const struct log_printer *p, const struct log_record *r, FILE *f)
{
    const char *color = p->colors ? color_of(r->level) : "";

    print_time(p, r, f);
    plain_puts(f, r->host);
    fprintf(f, "%s%s", r->host[0] ? " " : "", p->colors ? COLOR_YELLOW : "");
    plain_puts(f, r->service);
    fprintf(f, ".%s[", log_level_name(r->level));
    plain_puts(f, r->rank);
    fprintf(f, "]%s: %s", p->colors ? COLOR_END : "", color);
    plain_puts(f, r->message);
    fprintf(f, "%s\n", color[0] ? COLOR_END : "");
}

static json_t *string_of(const char *s)
{
    CLEANUP(freep) char *copy = NULL;
    json_t *o = json_string(s);

    if (o)
        return o;
    copy = strdup(s); /* not UTF-8 */
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return json_string(copy ? copy : "");
}

static void print_json(const struct log_record *r, FILE *f)
{
    CLEANUP(json_decrefp) json_t *o = json_object();
    char usec[24], level[12];

    (void)snprintf(usec, sizeof(usec), "%llu", (unsigned long long)r->usec);
    (void)snprintf(level, sizeof(level), "%d", r->level);
    (void)json_object_set_new(o, "__REALTIME_TIMESTAMP", json_string(usec));
    if (r->host[0])
        (void)json_object_set_new(o, "_HOSTNAME", string_of(r->host));
    (void)json_object_set_new(o, "PRIORITY", json_string(level));
    (void)json_object_set_new(o, "FLUX_RANK", string_of(r->rank));
    (void)json_object_set_new(o, "FLUX_SERVICE", string_of(r->service));
    (void)json_object_set_new(o, "MESSAGE", string_of(r->message));
    (void)json_dumpf(o, f, JSON_COMPACT);
    fputc('\n', f);
}

void log_print(struct log_printer *p, const struct log_record *r, FILE *f)
{
    if (p->format == LOG_FORMAT_JSON)
        print_json(r, f);
    else
        print_line(p, r, f);
    p->last_usec = r->usec;
}
