/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* sd_notify(3). The watchdog is fed by a timer of the main loop at a third of its period: a loop
 * that hangs in a callback stops feeding it, which is the point. Without a service manager every
 * call is a no-op. STATUS= goes out at most once in STATUS_SECONDS; the last text always does. */
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/monotime.h"
#include "service/notify.h"

#define EXTEND_SECONDS 60
#define EXTEND_USEC    1000000u /* between two of them */
#define STATUS_SIZE    256
#define STATUS_SECONDS 1.

struct notify {
    char status[STATUS_SIZE];
    flux_watcher_t *pause; /* runs for STATUS_SECONDS after each STATUS= */
    bool paused;
    bool changed;             /* since then */
    flux_watcher_t *watchdog; /* NULL: not asked for */
    uint64_t extended_usec;   /* when more time was asked for last */
};

static void on_watchdog(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

static void send_status(struct notify *n)
{
    (void)sd_notifyf(0, "STATUS=%s", n->status);
    n->changed = false;
    n->paused = true;
    flux_timer_watcher_reset(n->pause, STATUS_SECONDS, 0.);
    flux_watcher_start(n->pause);
}

static void on_pause_over(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct notify *n = arg;

    n->paused = false;
    if (n->changed)
        send_status(n);
}

int notify_new(flux_reactor_t *r, struct notify **ret)
{
    CLEANUP(notify_freep) struct notify *n = calloc(1, sizeof(*n));
    uint64_t period_usec;

    if (!n)
        return -ENOMEM;
    n->extended_usec = monotime_usec();
    n->pause = flux_timer_watcher_create(r, STATUS_SECONDS, 0., on_pause_over, n);
    if (!n->pause)
        return -ENOMEM;
    flux_watcher_unref(n->pause);
    if (sd_watchdog_enabled(0, &period_usec) > 0) {
        const double third = (double)period_usec / 3e6;

        n->watchdog = flux_timer_watcher_create(r, third, third, on_watchdog, n);
        if (!n->watchdog)
            return -ENOMEM;
        flux_watcher_unref(n->watchdog);
        flux_watcher_start(n->watchdog);
    }
    *ret = TAKE(n);
    return 0;
}

struct notify *notify_free(struct notify *n)
{
    if (n) {
        flux_watcher_destroy(n->watchdog);
        flux_watcher_destroy(n->pause);
        free(n);
    }
    return NULL;
}

void notify_ready(struct notify *n)
{
    (void)sd_notify(0, "READY=1");
}

void notify_stopping(struct notify *n)
{
    (void)sd_notify(0, "STOPPING=1");
}

void notify_extend(struct notify *n)
{
    const uint64_t now_usec = monotime_usec();

    if (now_usec - n->extended_usec < EXTEND_USEC)
        return;
    n->extended_usec = now_usec;
    (void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%u", EXTEND_SECONDS * 1000000u);
}

void notify_allow(struct notify *n, unsigned int seconds)
{
    (void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu", seconds * 1000000ull);
}

bool notify_has_status(const struct notify *n)
{
    return n->status[0] != '\0';
}

void notify_status(struct notify *n, const char *text)
{
    if (strncmp(n->status, text, sizeof(n->status) - 1) == 0)
        return;
    (void)snprintf(n->status, sizeof(n->status), "%s", text);
    for (char *p = n->status; *p; p++)
        if (*p == '\n')
            *p = ' '; /* a newline would begin another assignment */
    n->changed = true;
    if (!n->paused)
        send_status(n);
}
