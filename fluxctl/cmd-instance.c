/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl uptime, shutdown, config, env: the instance as a whole. */
#include <pwd.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fsd.h"
#include "base/monotime.h"
#include "base/number.h"
#include "base/rset.h"
#include "client.h"
#include "environment.h"
#include "families.h"

DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct rset *, rset_free)

static const char *attr(flux_t *h, const char *name, const char *fallback)
{
    const char *s = flux_attr_get(h, name);

    return s ? s : fallback;
}

#define RESOURCE_TIMEOUT 2. /* seconds; uptime is also asked when something does not work */

/* "3 offline,  1 drained", as far as there are such nodes and the resource service answers. */
static void print_lost_nodes(flux_t *h)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc(h, "resource.status", NULL, 0, 0);
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    size_t ndrained = 0, noffline;
    CLEANUP(rset_freep) struct rset *r = NULL;
    json_t *all, *drain, *value;
    flux_error_t error;
    const char *key, *online;

    if (!f || flux_future_wait_for(f, RESOURCE_TIMEOUT) < 0 ||
        flux_rpc_get_unpack(f, "{s:o s:s s:o}", "R", &all, "online", &online, "drain", &drain) <
            0 ||
        rset_decode(all, &r, &error) < 0 || !(ranks = idset_decode(online)))
        return;
    noffline = rset_nnodes(r);
    for (size_t i = 0; i < rset_nnodes(r); i++)
        noffline -= idset_test(ranks, rset_nth(r, i)->rank);
    json_object_foreach (drain, key, value) {
        CLEANUP(idset_destroyp) struct idset *drained = idset_decode(key);

        ndrained += drained ? idset_count(drained) : 0;
    }
    if (noffline > 0)
        printf(",  %zu offline", noffline);
    if (ndrained > 0)
        printf(",  %zu drained", ndrained);
}

static int run_uptime(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    double start = 0;
    char since[32] = "?", clock[16] = "";
    time_t now = time(NULL);
    struct tm tm;
    uint32_t uid;
    struct passwd *pw = NULL;

    if (!h)
        return EXIT_FAILURE;
    if (number_parse_double(attr(h, "broker.starttime", ""), &start) == 0 && walltime() >= start)
        (void)fsd_format(since, sizeof(since), walltime() - start);
    if (localtime_r(&now, &tm))
        (void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    if (number_parse_u32(attr(h, "security.owner", ""), &uid) == 0)
        pw = getpwuid(uid);
    printf(" %s up %s,  owner %s,  depth %s,  size %s", clock, since,
           pw ? pw->pw_name : attr(h, "security.owner", "?"), attr(h, "instance-level", "0"),
           attr(h, "size", "?"));
    print_lost_nodes(h);
    putchar('\n');
    return EXIT_SUCCESS;
}

static int run_shutdown(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (!h)
        return EXIT_FAILURE;
    f = flux_rpc(h, "broker.shutdown", NULL, FLUX_NODEID_ANY, 0);
    /* The router may go away before it has answered. */
    if (!f || (flux_rpc_get(f, NULL) < 0 && errno != ECONNRESET && errno != EPIPE))
        return complain_future(f, "cannot shut the instance down");
    return EXIT_SUCCESS;
}

/* --- config --- */

static int run_config_get(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "config.get", NULL, "get the configuration") : NULL;
    const json_t *o = answer;
    const char *path = c->argc > 0 ? c->argv[0] : "";

    if (!answer)
        return EXIT_FAILURE;
    for (const char *p = path; *p;) {
        size_t len = strcspn(p, ".");
        char key[64];

        snprintf(key, sizeof(key), "%.*s", (int)len, p);
        if (!(o = json_object_get(o, key))) {
            if (cmdline_has(c, "default")) {
                puts(cmdline_string(c, "default", ""));
                return EXIT_SUCCESS;
            }
            return complain("'%s' is not configured", path);
        }
        p += len + (p[len] == '.');
    }
    if (json_is_string(o))
        puts(json_string_value(o));
    else {
        (void)json_dumpf(o, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
        putchar('\n');
    }
    return EXIT_SUCCESS;
}

static int run_config_reload(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "config.reload", NULL, "reload the configuration") : NULL;

    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- env --- */

static int run_env(const struct cmdline *c)
{
    int rc = environment_set();

    if (rc < 0)
        return complain("%s", strerror(-rc));
    if (!getenv("FLUX_URI") && setenv("FLUX_URI", "local:///run/flux/local", 1) < 0)
        return complain("%s", strerror(errno));
    if (c->argc == 0) {
        for (char **e = environ; *e; e++)
            puts(*e);
        return EXIT_SUCCESS;
    }
    (void)execvp(c->argv[0], c->argv);
    return complain("cannot run '%s': %s", c->argv[0], strerror(errno));
}

static const struct option config_get_options[] = {
    { 'd', "default", "VALUE", "Print this if the key is not configured" },
    { 0 },
};

const struct command cmd_instance[] = {
    { "uptime", NULL, "Say how long the instance has been up", NULL, 0, 0, 0, run_uptime },
    { "shutdown", NULL, "Stop the instance", NULL, 0, 0, 0, run_shutdown },
    { "config get", "[KEY]", "Print the configuration", config_get_options, 0, 1, 0,
      run_config_get },
    { "config reload", NULL, "Read the configuration again", NULL, 0, 0, 0, run_config_reload },
    { "env", "[COMMAND...]", "Print the environment, or run a command in it", NULL, 0, -1,
      COMMAND_STOP_AT_ARGUMENT, run_env },
    { 0 },
};
