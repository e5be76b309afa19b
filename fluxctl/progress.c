/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The progress line of submit. */
#include "progress.h"

#include <string.h>
#include <unistd.h>

#include "base/monotime.h"
#include "client.h"

#define BAR_WIDTH     20
#define INTERVAL_USEC 100000
#define CLEAR_TO_END  "\033[K"

int progress_option(const struct cmdline *c, FILE **ret)
{
    const char *when = cmdline_string(c, "progress", "");
    const bool forced = strcmp(when, "always") == 0;

    if (*when && !forced) {
        complain("--progress must be always, or have no value, not '%s'", when);
        return -1;
    }
    *ret = cmdline_has(c, "progress") && (forced || isatty(STDERR_FILENO)) ? stderr : NULL;
    return 0;
}

void progress_init(struct progress *p, FILE *file, bool rate)
{
    *p = (struct progress){ .file = file, .start_usec = monotime_usec(), .rate = rate };
}

int progress_format(char *buf, size_t size, const struct progress_counts *n, double seconds,
                    bool rate)
{
    size_t done = n->waiting ? n->completed + n->failed : n->submitted;
    double fraction = n->total ? (double)done / (double)n->total : 1.;
    size_t filled = (size_t)(fraction * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    int len;

    memset(bar, '-', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    if (n->waiting)
        len = snprintf(buf, size, "submitted %zu/%zu, completed %zu, failed %zu [%s] %3.0f%%",
                       n->submitted, n->total, n->completed, n->failed, bar, fraction * 100);
    else
        len = snprintf(buf, size, "submitted %zu/%zu [%s] %3.0f%%", n->submitted, n->total, bar,
                       fraction * 100);
    if (rate && seconds > 0 && len > 0 && (size_t)len < size)
        len += snprintf(buf + len, size - (size_t)len, " %.1f jobs/s", (double)done / seconds);
    return len;
}

static void print(struct progress *p, const struct progress_counts *n, uint64_t now)
{
    char line[160];

    (void)progress_format(line, sizeof(line), n, (double)(now - p->start_usec) * 1E-6, p->rate);
    fprintf(p->file, "\r%s" CLEAR_TO_END, line);
    (void)fflush(p->file);
    p->last_usec = now;
}

void progress_update(struct progress *p, const struct progress_counts *n)
{
    uint64_t now;

    if (p->file && (now = monotime_usec()) - p->last_usec >= INTERVAL_USEC)
        print(p, n, now);
}

void progress_clear(struct progress *p)
{
    fputs("\r" CLEAR_TO_END, p->file);
    (void)fflush(p->file);
    p->last_usec = 0;
}

void progress_finish(struct progress *p, const struct progress_counts *n)
{
    if (p->file) {
        print(p, n, monotime_usec());
        fputc('\n', p->file);
    }
}
