/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From the moment it is attached our terminal is raw: every key goes to the task, Ctrl-C too. Sizes
 * follow ours. One request with keys is under way at a time; what the task writes is acknowledged,
 * so that a terminal that is slower than the task slows it down. After a restart of anything in
 * between we attach again; what was under way then is lost. */
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client.h"

#define CHUNK     4096
#define ACK_AFTER (32 * 1024)
#define RETRY     0.2

struct terminal {
    flux_t *h;
    uint32_t nodeid;
    char service[64];
    flux_watcher_t *keys, *size, *retry;
    flux_future_t *attached, *sent;
    int seen; /* and not acknowledged */
    bool ended;
    void (*on_end)(void *arg);
    void *arg;
};

static struct termios saved;
static bool is_raw;

DEFINE_CLEANUP(struct terminal *, terminal_free)

void terminal_restore(void)
{
    if (is_raw)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
    is_raw = false;
}

static void make_raw(void)
{
    struct termios raw;

    if (is_raw || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
        return;
    raw = saved;
    cfmakeraw(&raw);
    is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    (void)atexit(terminal_restore);
}

static struct winsize our_size(void)
{
    struct winsize ws = { .ws_row = 0 };

    (void)ioctl(STDIN_FILENO, TIOCGWINSZ, &ws);
    return ws;
}

static const char *topic(const struct terminal *t, const char *method)
{
    static char text[96];

    (void)snprintf(text, sizeof(text), "%s.%s", t->service, method);
    return text;
}

static void end(struct terminal *t)
{
    if (t->ended)
        return;
    t->ended = true;
    flux_watcher_stop(t->keys);
    flux_watcher_stop(t->size);
    flux_watcher_stop(t->retry);
    terminal_restore();
    t->on_end(t->arg);
}

/* --- what the task writes */

static void tell_size(struct terminal *t)
{
    const struct winsize ws = our_size();
    flux_future_t *f =
        flux_rpc_pack(t->h, topic(t, "pty-resize"), t->nodeid, FLUX_RPC_NORESPONSE, "{s:i s:i s:i}",
                      "rows", ws.ws_row, "cols", ws.ws_col, "seen", t->seen);

    t->seen = 0;
    flux_future_destroy(f);
}

static int write_all(const char *data, int size)
{
    while (size > 0) {
        const ssize_t n = write(STDOUT_FILENO, data, (size_t)size);

        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (int)n;
        }
    }
    return 0;
}

static void on_output(flux_future_t *f, void *arg)
{
    struct terminal *t = arg;
    const void *data;
    int size;

    if (flux_rpc_get_raw(f, &data, &size) < 0) {
        const bool again = errno == ECONNRESET || errno == EHOSTUNREACH;

        t->attached = NULL;
        flux_future_destroy(f);
        if (!again) {
            end(t);
            return;
        }
        flux_timer_watcher_reset(t->retry, RETRY, 0.);
        flux_watcher_start(t->retry);
        return;
    }
    (void)write_all(data, size);
    t->seen += size;
    if (t->seen >= ACK_AFTER)
        tell_size(t);
    flux_future_reset(f);
}

static int attach(struct terminal *t)
{
    const struct winsize ws = our_size();

    t->seen = 0;
    t->attached = flux_rpc_pack(t->h, topic(t, "pty-attach"), t->nodeid, FLUX_RPC_STREAMING,
                                "{s:i s:i}", "rows", ws.ws_row, "cols", ws.ws_col);
    return t->attached && flux_future_then(t->attached, -1., on_output, t) == 0 ? 0 : -errno;
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    if (attach(arg) < 0)
        end(arg);
}

static void on_size(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    tell_size(arg);
}

/* --- what is typed */

static void on_sent(flux_future_t *f, void *arg)
{
    struct terminal *t = arg;

    t->sent = NULL;
    flux_future_destroy(f);
    if (!t->ended)
        flux_watcher_start(t->keys);
}

/* The end of our input is the end of a line's: Ctrl-D. */
static void on_keys(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct terminal *t = arg;
    char buf[CHUNK];
    ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    flux_watcher_stop(t->keys);
    if (n <= 0) {
        buf[0] = '\004';
        n = 1;
    }
    t->sent = flux_rpc_raw(t->h, topic(t, "pty-write"), buf, (int)n, t->nodeid, 0);
    if (!t->sent || flux_future_then(t->sent, -1., on_sent, t) < 0)
        complain("cannot send input: %s", strerror(errno));
}

struct terminal *terminal_new(flux_t *h, flux_jobid_t id, uint32_t nodeid,
                              void (*on_end)(void *arg), void *arg)
{
    CLEANUP(terminal_freep) struct terminal *t = calloc(1, sizeof(*t));
    flux_reactor_t *r = flux_get_reactor(h);

    if (!t)
        return NULL;
    *t = (struct terminal){ .h = h, .nodeid = nodeid, .on_end = on_end, .arg = arg };
    (void)snprintf(t->service, sizeof(t->service), "%u-shell-%" PRIu64, (unsigned)getuid(), id);
    t->keys = flux_fd_watcher_create(r, STDIN_FILENO, FLUX_POLLIN, on_keys, t);
    t->size = flux_signal_watcher_create(r, SIGWINCH, on_size, t);
    t->retry = flux_timer_watcher_create(r, RETRY, 0., on_retry, t);
    if (!t->keys || !t->size || !t->retry || attach(t) < 0)
        return NULL;
    make_raw();
    flux_watcher_start(t->keys);
    flux_watcher_start(t->size);
    return TAKE(t);
}

struct terminal *terminal_free(struct terminal *t)
{
    if (t) {
        terminal_restore();
        flux_future_destroy(t->sent);
        flux_future_destroy(t->attached);
        flux_watcher_destroy(t->retry);
        flux_watcher_destroy(t->size);
        flux_watcher_destroy(t->keys);
        free(t);
    }
    return NULL;
}
