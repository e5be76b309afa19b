/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Printing the entries of an eventlog: a line each, TIME NAME KEY=VALUE... */
#include "eventlog-print.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/eventlog.h"
#include "client.h"
#include "plain-text.h"

#define COLOR_TIME "\033[32m"
#define COLOR_NAME "\033[33m"
#define COLOR_BAD  "\033[1;31m"
#define COLOR_KEY  "\033[34m"
#define COLOR_END  "\033[0m"

int eventlog_printer_init(struct eventlog_printer *p, const char *format, const char *time_format)
{
    static const char *const names[] = { "raw", "iso", "offset", "human" };

    *p = (struct eventlog_printer){ .json = strcmp(format, "json") == 0 };
    if (!p->json && strcmp(format, "text") != 0) {
        complain("--format must be text or json, not '%s'", format);
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(time_format, names[i]) == 0) {
            p->time_format = (enum time_format)i;
            return 0;
        }
    }
    complain("--time-format must be raw, iso, offset or human, not '%s'", time_format);
    return -1;
}

int eventlog_printer_color(struct eventlog_printer *p, const char *when)
{
    if (strcmp(when, "auto") == 0)
        p->color = isatty(STDOUT_FILENO);
    else if (strcmp(when, "always") == 0 || strcmp(when, "never") == 0)
        p->color = when[0] == 'a';
    else {
        complain("--color must be always, never or auto, not '%s'", when);
        return -1;
    }
    return 0;
}

/* Around what follows, or around nothing. */
static void paint(const struct eventlog_printer *p, const char *color)
{
    if (p->color)
        fputs(color, stdout);
}

void eventlog_printer_see(struct eventlog_printer *p, const json_t *entry)
{
    double t;

    if (p->first == 0 && eventlog_entry_parse(entry, &t, NULL, NULL) == 0)
        p->first = t;
}

static void print_time(const struct eventlog_printer *p, double t)
{
    const bool is_date = t < EVENTLOG_TIME_END; /* who writes a log chooses its times */
    time_t seconds = is_date ? (time_t)t : 0;
    char buf[64] = "";
    struct tm tm;

    switch (is_date || p->time_format == TIME_OFFSET ? p->time_format : TIME_RAW) {
    case TIME_RAW:
        printf("%.6f", t);
        break;
    case TIME_OFFSET:
        printf("%.6f", t - p->first);
        break;
    case TIME_ISO:
        if (gmtime_r(&seconds, &tm))
            (void)strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%S", &tm);
        printf("%s.%06dZ", buf, (int)((t - (double)seconds) * 1E6));
        break;
    case TIME_HUMAN:
        if (localtime_r(&seconds, &tm))
            (void)strftime(buf, sizeof(buf), "%b%d %H:%M:%S", &tm);
        printf("%s", buf);
        break;
    }
}

void eventlog_print(struct eventlog_printer *p, const json_t *entry)
{
    json_t *context = NULL;
    const char *name, *key;
    json_t *value;
    double t;

    if (eventlog_entry_parse(entry, &t, &name, &context) < 0)
        return;
    eventlog_printer_see(p, entry);
    if (p->json) {
        (void)json_dumpf(entry, stdout, JSON_COMPACT);
        putchar('\n');
        return;
    }
    paint(p, COLOR_TIME);
    print_time(p, t);
    paint(p, COLOR_END);
    putchar(' ');
    paint(p, strcmp(name, "exception") == 0 ? COLOR_BAD : COLOR_NAME);
    plain_puts(stdout, name);
    paint(p, COLOR_END);
    json_object_foreach (context, key, value) {
        CLEANUP(freep) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

        putchar(' ');
        paint(p, COLOR_KEY);
        plain_puts(stdout, key);
        paint(p, COLOR_END);
        putchar('=');
        plain_puts(stdout, text ? text : "?");
    }
    putchar('\n');
}
