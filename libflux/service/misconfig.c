/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A daemon whose configuration is refused ends, so that whoever starts it is told; the service
 * manager starts it again. The next process finds in the descriptor store what the one before it
 * has logged: if that is still so it says nothing more, and waits until the configuration is
 * another one. So a bad file costs a few lines in the journal, and a mended one is noticed within a
 * second. Who tells the daemon to stop meanwhile, or to start again, is told anew.
 *
 * A daemon that others wait for does better to serve, and to refuse each request with the sentence:
 * service_misconfigured_serve(). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/fdstore.h"
#include "service/log.h"
#include "service/state.h"

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

#define FD_NAME       "misconfigured"
#define CHECK_SECONDS 1.

struct misconfig {
    struct service *svc;
    bool (*is_mended)(void *arg);
    void *arg;
};

/* The router's is another one than the one that was refused. */
static bool is_new(struct service *svc)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = svc->h ? flux_rpc(svc->h, "config.get", NULL, FLUX_NODEID_ANY, 0) : NULL;
    json_t *o;

    return f && flux_rpc_get_unpack(f, "o", &o) == 0 && !json_equal(o, svc->config);
}

static void on_check(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct misconfig *mc = arg;

    service_progress(mc->svc);
    if (mc->is_mended ? mc->is_mended(mc->arg) : is_new(mc->svc))
        service_exit(mc->svc, SERVICE_EXIT_ROUTER);
}

static void keep(const char *sentence)
{
    CLEANUP(json_decrefp) json_t *o = json_pack("{s:s}", "told", sentence);

    if (o && fdstore_put_json(FD_NAME, o) == 0)
        fdstore_settle();
}

static bool was_told(struct service *svc, const char *sentence)
{
    CLEANUP(json_decrefp) json_t *o = fdstore_take_json(svc, FD_NAME);
    const char *told = json_string_value(json_object_get(o, "told"));

    return told && strcmp(told, sentence) == 0;
}

/* Ends the process: there is nothing else in it. */
static void wait_for_change(struct misconfig *mc)
{
    struct service *svc = mc->svc;
    flux_watcher_t *w =
        flux_timer_watcher_create(svc->reactor, CHECK_SECONDS, CHECK_SECONDS, on_check, mc);

    if (!w)
        return;
    flux_watcher_start(w);
    for (size_t i = 0; i < ARRAY_SIZE(svc->signals); i++)
        flux_watcher_start(svc->signals[i]);
    (void)flux_reactor_run(svc->reactor, 0);
    flux_watcher_destroy(w);
    fdstore_remove(FD_NAME);
    fdstore_settle();
    _exit(svc->status);
}

static void say_status(struct service *svc, const char *sentence)
{
    service_status(svc, "Waits for a better configuration: %s", sentence);
}

static void say(const char *sentence)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_CONFIG_BAD, NULL };

    log_fields(LOG_ERR, fields, "%s", sentence);
}

void service_misconfigured_serve(struct service *svc, const char *sentence)
{
    service_refuse(svc, EINVAL, sentence);
    say_status(svc, sentence);
    say(sentence);
}

void service_misconfigured(struct service *svc, const char *sentence, bool (*is_mended)(void *arg),
                           void *arg)
{
    struct misconfig mc = { .svc = svc, .is_mended = is_mended, .arg = arg };
    const bool told = was_told(svc, sentence);

    say_status(svc, sentence);
    if (!told)
        say(sentence);
    keep(sentence);
    if (told)
        wait_for_change(&mc);
}
