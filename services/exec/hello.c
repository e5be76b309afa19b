/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* exec-hello: a stream that stays open. When it breaks the job manager is restarting (or not there
 * yet): wait a moment, then offer again. Running jobs are not touched by any of this. */
#include <string.h>

#include "hello.h"
#include "service/log.h"

#define RETRY_MIN 0.05
#define RETRY_MAX 2.

struct hello {
    flux_t *h;
    void (*on_first)(void *arg);
    void *arg;
    flux_future_t *f;
    flux_watcher_t *retry;
    double reconcile_delay;
    flux_watcher_t *reconcile; /* NULL until accepted once */
    double delay;
};

static void say_hello(struct hello *hello);

static void again(struct hello *hello)
{
    flux_timer_watcher_reset(hello->retry, hello->delay, 0.);
    flux_watcher_start(hello->retry);
    hello->delay = hello->delay * 2 < RETRY_MAX ? hello->delay * 2 : RETRY_MAX;
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    say_hello(arg);
}

static void on_reconcile(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct hello *hello = arg;

    hello->on_first(hello->arg);
}

static void accepted(struct hello *hello)
{
    log_debug("the job manager accepted us");
    hello->delay = RETRY_MIN;
    if (!hello->reconcile) {
        hello->reconcile = flux_timer_watcher_create(
            flux_get_reactor(hello->h), hello->reconcile_delay, 0., on_reconcile, hello);
        if (hello->reconcile)
            flux_watcher_start(hello->reconcile);
    }
}

static void on_hello(flux_future_t *f, void *arg)
{
    struct hello *hello = arg;

    if (flux_rpc_get(f, NULL) == 0) {
        accepted(hello);
        flux_future_reset(f);
        return;
    }
    if (hello->delay > RETRY_MIN || (errno != ECONNRESET && errno != ENOSYS))
        log_info("the job manager is away (%s), trying again", flux_future_error_string(f));
    flux_future_destroy(f);
    hello->f = NULL;
    again(hello);
}

static void say_hello(struct hello *hello)
{
    hello->f = flux_rpc_pack(hello->h, "job-manager.exec-hello", FLUX_NODEID_ANY,
                             FLUX_RPC_STREAMING, "{s:s}", "service", "job-exec");
    if (hello->f && flux_future_then(hello->f, -1., on_hello, hello) == 0)
        return;
    log_err("cannot greet the job manager: %s", strerror(errno));
    flux_future_destroy(hello->f);
    hello->f = NULL;
    again(hello);
}

int hello_new(flux_t *h, double delay, void (*on_first)(void *arg), void *arg, struct hello **ret)
{
    CLEANUP(hello_freep) struct hello *hello = calloc(1, sizeof(*hello));

    if (!hello)
        return -ENOMEM;
    hello->h = h;
    hello->on_first = on_first;
    hello->arg = arg;
    hello->reconcile_delay = delay;
    hello->delay = RETRY_MIN;
    hello->retry = flux_timer_watcher_create(flux_get_reactor(h), 0., 0., on_retry, hello);
    if (!hello->retry)
        return -errno;
    say_hello(hello);
    *ret = TAKE(hello);
    return 0;
}

struct hello *hello_free(struct hello *hello)
{
    if (hello) {
        flux_watcher_destroy(hello->reconcile);
        flux_watcher_destroy(hello->retry);
        flux_future_destroy(hello->f);
        free(hello);
    }
    return NULL;
}
