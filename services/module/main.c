/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-module-exec: runs a module of a third party in a process of its own. See flux-module(1).
 *
 * `flux module load` leaves a record in RUNDIR/module/NAME.json, {path, args}; without one the
 * module is searched by its name. Then: open the file, connect to the router, register the service,
 * call mod_main. READY=1 goes out when the module first runs its reactor. Exit status: 0 when it
 * was asked to end; FAILED (not started again) when it cannot be loaded or its mod_main failed;
 * ROUTER_LOST (started again) when the router went away. Why is in STATUS= and on standard error.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include <flux/core.h>

#include "config.h"
#include "module/methods.h"
#include "module/module.h"
#include "service/goodbye.h"

#define FAILED      1
#define ROUTER_LOST 75

struct host {
    flux_t *h;
    flux_reactor_t *r;
    struct methods *methods;
    flux_watcher_t *signals[2];
    flux_watcher_t *first_pass;
    flux_msg_handler_t *goodbye;
    bool ready, lost;
    bool router_leaves; /* it said so: its end is no failure */
};

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int complain(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "flux-module-exec: %s\n", text);
    (void)sd_notifyf(0, "STATUS=%s", text);
    return FAILED;
}

/* --- what to run --- */

static const char *search_path(void)
{
    const char *path = getenv("FLUX_MODULE_PATH");

    return path && *path ? path : FLUX_MODULEDIR;
}

/* The record of that name; NULL if there is none. */
static json_t *read_record(const char *rundir, const char *name)
{
    json_t *record;
    char *path;

    if (asprintf(&path, "%s/module/%s.json", rundir, name) < 0)
        return NULL;
    record = json_load_file(path, 0, NULL);
    free(path);
    return record;
}

/* argv for mod_main, lent by the record; the array is malloc'd. */
static char **record_args(const json_t *record, int *ret_argc)
{
    const json_t *list = json_object_get(record, "args");
    size_t n = json_array_size(list);
    char **argv = calloc(n + 1, sizeof(*argv));

    for (size_t i = 0; argv && i < n; i++) {
        const char *s = json_string_value(json_array_get(list, i));

        argv[i] = (char *)(s ? s : "");
    }
    *ret_argc = (int)n;
    return argv;
}

static int open_module(const char *name, const json_t *record, struct module *ret)
{
    const char *path = json_string_value(json_object_get(record, "path"));
    flux_error_t error = { "" };

    if (module_open(path ? path : name, search_path(), ret, &error) < 0)
        return complain("%s", error.text);
    if (strcmp(ret->name, name) != 0)
        return complain("%s is the module %s, not %s", ret->path, ret->name, name);
    return 0;
}

/* --- running it --- */

static void on_end(void *arg)
{
    struct host *host = arg;

    (void)sd_notify(0, "STOPPING=1");
    flux_reactor_stop(host->r);
}

static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    on_end(arg);
}

static int on_lost(flux_t *h, void *arg)
{
    struct host *host = arg;

    host->lost = true;
    flux_reactor_stop(host->r);
    return 0;
}

static void on_goodbye(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct host *host = arg;

    host->router_leaves = true;
}

static void say_ready(struct host *host)
{
    if (!host->ready)
        (void)sd_notify(0, "READY=1\nSTATUS=Serving requests");
    host->ready = true;
}

static void on_first_pass(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    say_ready(arg);
    flux_watcher_stop(w);
}

static int watch(struct host *host)
{
    static const int signums[] = { SIGTERM, SIGINT };
    struct flux_match match = FLUX_MATCH_EVENT;

    match.topic_glob = SERVICE_GOODBYE;
    host->goodbye = flux_msg_handler_create(host->h, match, on_goodbye, host);
    if (!host->goodbye)
        return -1;
    flux_msg_handler_start(host->goodbye);

    for (size_t i = 0; i < 2; i++) {
        host->signals[i] = flux_signal_watcher_create(host->r, signums[i], on_signal, host);
        if (!host->signals[i])
            return -1;
        flux_watcher_start(host->signals[i]);
    }
    if (!(host->first_pass = flux_prepare_watcher_create(host->r, on_first_pass, host)))
        return -1;
    flux_watcher_start(host->first_pass);
    return 0;
}

static int host_init(struct host *host, const char *rundir, const char *name)
{
    flux_error_t error = { "" };
    flux_future_t *f;
    char *uri;
    int rc;

    if (asprintf(&uri, "local://%s/local", rundir) < 0 || setenv("FLUX_URI", uri, 1) < 0)
        return complain("out of memory");
    host->h = flux_open_ex(uri, 0, &error);
    if (!host->h)
        (void)complain("cannot reach the router at %s: %s", uri,
                       error.text[0] ? error.text : strerror(errno));
    free(uri);
    if (!host->h)
        return ROUTER_LOST;
    host->r = flux_get_reactor(host->h);
    flux_comms_error_set(host->h, on_lost, host);
    flux_log_set_appname(host->h, name);
    f = flux_service_register(host->h, name);
    rc = f ? flux_future_get(f, NULL) : -1;
    if (rc < 0)
        rc = complain("cannot register the service %s: %s", name,
                      f ? flux_future_error_string(f) : strerror(errno));
    flux_future_destroy(f);
    if (rc != 0)
        return host->lost ? ROUTER_LOST : rc;
    if (!host->r || watch(host) < 0 || !(host->methods = methods_new(host->h, name, on_end, host)))
        return complain("cannot prepare for %s: %s", name, strerror(errno));
    return 0;
}

static void host_deinit(struct host *host)
{
    (void)methods_free(host->methods);
    flux_msg_handler_destroy(host->goodbye);
    flux_watcher_destroy(host->first_pass);
    for (size_t i = 0; i < 2; i++)
        flux_watcher_destroy(host->signals[i]);
    flux_close(host->h);
}

static int run_main(struct host *host, const struct module *m, int argc, char **argv)
{
    int rc;

    errno = 0;
    rc = m->main(host->h, argc, argv);
    if (host->lost)
        return host->router_leaves ? EXIT_SUCCESS : ROUTER_LOST;
    if (rc < 0)
        return complain("mod_main of %s failed%s%s", m->name, errno ? ": " : "",
                        errno ? strerror(errno) : "");
    say_ready(host); /* one that has nothing to wait for */
    return EXIT_SUCCESS;
}

static int run(const char *rundir, const char *name)
{
    json_t *record = read_record(rundir, name);
    struct module m = { .path = NULL };
    struct host host = { .h = NULL };
    char **argv = NULL;
    int status, argc;

    if (!(argv = record_args(record, &argc)))
        status = complain("out of memory");
    else if ((status = open_module(name, record, &m)) == 0 &&
             (status = host_init(&host, rundir, name)) == 0)
        status = run_main(&host, &m, argc, argv);
    host_deinit(&host);
    module_close(&m);
    free(argv);
    json_decref(record);
    return status;
}

/* For `flux module load` and `info`: what a file is, before anything is started. */
static int describe(const char *what)
{
    struct module m;
    flux_error_t error = { "" };
    json_t *o;

    if (module_open(what, search_path(), &m, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        return FAILED;
    }
    if ((o = module_describe(&m))) {
        (void)json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(o);
    module_close(&m);
    return o ? EXIT_SUCCESS : FAILED;
}

static int usage(FILE *f, int status)
{
    fputs("Usage: flux-module-exec NAME\n"
          "       flux-module-exec --describe NAME|PATH\n"
          "Run the module NAME, or say what a module is. See flux-module(1).\n"
          "It is started by `flux module load`, through its service unit.\n\n"
          "  --help     show this text\n"
          "  --version  show the version\n",
          f);
    return status;
}

int main(int argc, char **argv)
{
    const char *rundir = getenv("FLUX_RUNDIR");

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, EXIT_SUCCESS);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("flux-module-exec " FLUX_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc == 3 && strcmp(argv[1], "--describe") == 0)
        return describe(argv[2]);
    if (argc != 2 || argv[1][0] == '-')
        return usage(stderr, 2);
    if (!module_name_ok(argv[1]))
        return complain("'%s' cannot be the name of a service", argv[1]);
    if (!rundir || rundir[0] != '/')
        return complain("FLUX_RUNDIR is not set to an absolute path");
    return run(rundir, argv[1]);
}
