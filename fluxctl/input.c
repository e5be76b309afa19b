/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Forwarding standard input. At most WINDOW chunks are unanswered at a time, so a task that does
 * not read stops us from reading. When the shell takes no more (its tasks have ended, or their
 * input is a file) forwarding ends quietly. A chunk cut by ECONNRESET is not repeated: it may have
 * arrived. */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/iodata.h"
#include "base/cleanup.h"
#include "client.h"

#define CHUNK              16384
#define WINDOW             8

#define BACKGROUND_SECONDS 0.5 /* between looks whether we are in the foreground again */

struct input {
    flux_t *h;
    char topic[96];
    uint32_t nodeid;
    const char *ranks;
    flux_watcher_t *watcher;
    flux_watcher_t *background;       /* runs while the terminal is another's */
    flux_future_t *in_flight[WINDOW]; /* NULL: free */
    bool started;
    bool stopped;
};

DEFINE_CLEANUP(struct input *, input_free)

struct input *input_free(struct input *in)
{
    if (in) {
        for (size_t i = 0; i < WINDOW; i++)
            flux_future_destroy(in->in_flight[i]);
        flux_watcher_destroy(in->background);
        flux_watcher_destroy(in->watcher);
        free(in);
    }
    return NULL;
}

void input_stop(struct input *in)
{
    if (in) {
        in->stopped = true;
        flux_watcher_stop(in->watcher);
        flux_watcher_stop(in->background);
    }
}

/* Whoever reads from the terminal in the background is stopped (SIGTTIN), and so would the output
 * of `flux run ... &`. */
static bool in_background(void)
{
    pid_t foreground = tcgetpgrp(STDIN_FILENO); /* -1: not our terminal, or none */

    return foreground >= 0 && foreground != getpgrp();
}

static void on_background(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    const struct input *in = arg;

    flux_watcher_start(in->watcher);
}

static void wait_for_terminal(const struct input *in)
{
    flux_watcher_stop(in->watcher);
    flux_timer_watcher_reset(in->background, BACKGROUND_SECONDS, 0.);
    flux_watcher_start(in->background);
}

/* The place of f, or one that is free if f is NULL; NULL: there is none. */
static flux_future_t **find_in_flight(struct input *in, const flux_future_t *f)
{
    for (size_t i = 0; i < WINDOW; i++) {
        if (in->in_flight[i] == f)
            return &in->in_flight[i];
    }
    return NULL;
}

static void on_sent(flux_future_t *f, void *arg)
{
    struct input *in = arg;

    *find_in_flight(in, f) = NULL;
    if (flux_rpc_get(f, NULL) < 0) {
        if (!in->stopped && errno != ENOSYS && errno != EPIPE && errno != ENOENT &&
            errno != ECONNRESET)
            complain_future(f, "cannot forward standard input");
        input_stop(in);
    } else if (!in->stopped) {
        flux_watcher_start(in->watcher);
    }
    flux_future_destroy(f);
}

static void on_readable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct input *in = arg;
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *text = NULL;
    flux_future_t **f = find_in_flight(in, NULL);
    char buf[CHUNK];
    ssize_t n;

    if (!f) { /* as many as there may be */
        flux_watcher_stop(w);
        return;
    }
    if (in_background()) {
        wait_for_terminal(in);
        return;
    }
    n = read(STDIN_FILENO, buf, sizeof(buf));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    o = iodata_encode("stdin", in->ranks, buf, n > 0 ? (size_t)n : 0, n <= 0);
    if (!(text = json_dumps(o, JSON_COMPACT)) ||
        !(*f = flux_rpc(in->h, in->topic, text, in->nodeid, 0)) ||
        flux_future_then(*f, -1., on_sent, in) < 0) {
        input_stop(in);
        return;
    }
    if (n <= 0)
        input_stop(in);
    if (!find_in_flight(in, NULL))
        flux_watcher_stop(in->watcher);
}

/* epoll takes no plain files, but select-like waiting has no sense for them either: they are always
 * readable. /dev/null and closed descriptors end at once. */
void input_start(struct input *in, uint32_t nodeid)
{
    if (in && !in->started && !in->stopped) {
        in->started = true;
        in->nodeid = nodeid;
        flux_watcher_start(in->watcher);
    }
}

struct input *input_new(flux_t *h, flux_jobid_t id, const char *ranks)
{
    CLEANUP(input_freep) struct input *in = calloc(1, sizeof(*in));

    if (!in)
        return NULL;
    in->h = h;
    in->ranks = ranks ? ranks : "all";
    snprintf(in->topic, sizeof(in->topic), "%u-shell-%" PRIu64 ".stdin", (unsigned)getuid(), id);
    in->watcher =
        flux_fd_watcher_create(flux_get_reactor(h), STDIN_FILENO, FLUX_POLLIN, on_readable, in);
    in->background = flux_timer_watcher_create(flux_get_reactor(h), 0., 0., on_background, in);
    return in->watcher && in->background ? TAKE(in) : NULL;
}
