/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Printing the entries of an eventlog for people or programs. */
#ifndef FLUXCTL_EVENTLOG_PRINT_H
#define FLUXCTL_EVENTLOG_PRINT_H

#include <jansson.h>
#include <stdbool.h>

#define EVENTLOG_TIME_END 253402300800. /* the year 10000: a date has four digits for it */

enum time_format { TIME_RAW, TIME_ISO, TIME_OFFSET, TIME_HUMAN };

struct eventlog_printer {
    bool json;
    bool color;
    enum time_format time_format;
    double first; /* timestamp of the first entry, 0: none yet */
};

/* format: "text" or "json"; time_format: "raw", "iso", "offset", "human". -1 after complaining. */
int eventlog_printer_init(struct eventlog_printer *p, const char *format, const char *time_format);
/* when: "always", "never", or "auto": if standard output is a terminal. -1 after complaining. */
int eventlog_printer_color(struct eventlog_printer *p, const char *when);
void eventlog_print(struct eventlog_printer *p, const json_t *entry);
/* Take note of an entry that is not printed. */
void eventlog_printer_see(struct eventlog_printer *p, const json_t *entry);

#endif
