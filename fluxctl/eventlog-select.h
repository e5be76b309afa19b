/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which events of a log are printed, how, and which one ends the reading: what the commands for
 * eventlogs of jobs and of keys have in common. */
#ifndef FLUXCTL_EVENTLOG_SELECT_H
#define FLUXCTL_EVENTLOG_SELECT_H

#include <flux/core.h>

#include "eventlog-print.h"
#include "options.h"

struct eventlog_selection {
    struct eventlog_printer printer;
    const char *wanted;      /* the event that ends the reading; NULL: none does */
    const char *key, *value; /* of its context; NULL: any */
    size_t key_len;
    int count; /* so many of them are still to come */
    bool quiet, verbose;
    bool found;
    uint64_t deadline_usec; /* 0: none */
};

#define EVENTLOG_PRINT_OPTIONS                                                              \
    { 'f', "format", "FORMAT", "text (default) or json" },                                  \
        { 'T', "time-format", "FORMAT", "raw (default), iso, offset or human" },            \
        { 'H', "human", NULL, "Same as --time-format=human" },                              \
    {                                                                                       \
        'L', "color", "WHEN", "Colors: always (default if given), never or auto (default)", \
            OPTION_OPTIONAL_ARG                                                             \
    }

#define EVENTLOG_WAIT_OPTIONS                                                                \
    { 't', "timeout", "FSD", "Give up after so long" },                                      \
        { 'm', "match-context", "KEY=VALUE", "Only an event whose context has this value" }, \
        { 'c', "count", "N", "The N-th such event (default 1)" },                            \
        { 'q', "quiet", NULL, "Do not print the event" },                                    \
    {                                                                                        \
        'v', "verbose", NULL, "Print all events up to it"                                    \
    }

/* From the options above, as far as the command has them. -1 after complaining. */
int eventlog_selection_init(struct eventlog_selection *s, const struct cmdline *c);
/* For a command that waits for the event `wanted`; its time begins. -1 after complaining. */
int eventlog_selection_want(struct eventlog_selection *s, const struct cmdline *c,
                            const char *wanted);
/* Wait for the next answer of a log, but not beyond that time: as flux_future_wait_for(3). */
int eventlog_selection_await(const struct eventlog_selection *s, flux_future_t *f);
/* The next event of the log. Prints it if that is wanted; s->found: it ends the reading. True if it
 * was printed. */
bool eventlog_selection_take(struct eventlog_selection *s, const json_t *entry);

#endif
