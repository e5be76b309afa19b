/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl uptime: one line, or two if there is something to say about the queue. */
#include <pwd.h>
#include <string.h>
#include <time.h>

#include "base/fsd.h"
#include "base/monotime.h"
#include "base/number.h"
#include "base/rset.h"
#include "client.h"
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

/* "run 2.4h": the state of the instance as this node sees it, and how long it has been so. true:
 * it runs. */
static bool print_state(flux_t *h)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc(h, "state-machine.get", NULL, FLUX_NODEID_ANY, 0);
    const char *state = "?";
    char text[32] = "?";
    double since = 0;

    if (f && flux_rpc_get_unpack(f, "{s:s s:f}", "state", &state, "since", &since) == 0 &&
        walltime() >= since)
        (void)fsd_format(text, sizeof(text), walltime() - since);
    printf("%s %s", state, text);
    return strcmp(state, "run") == 0;
}

/* A second line when the administrator has closed the queue, or nothing is started for safety. */
static void print_queue(flux_t *h)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc(h, "job-manager.queue-status", NULL, 0, 0);
    int enable = 1, start = 1;

    if (!f || flux_future_wait_for(f, RESOURCE_TIMEOUT) < 0 ||
        flux_rpc_get_unpack(f, "{s:b s:b}", "enable", &enable, "start", &start) < 0 ||
        (enable && start))
        return;
    printf("%s%s%s\n", enable ? "" : "  submit disabled", !enable && !start ? "," : "",
           start ? "" : "  scheduler stopped");
}

static int run_uptime(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    time_t now = time(NULL);
    char clock[16] = "";
    struct tm tm;
    uint32_t uid;
    struct passwd *pw = NULL;
    bool runs;

    if (!h)
        return EXIT_FAILURE;
    if (localtime_r(&now, &tm))
        (void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    if (number_parse_u32(attr(h, "security.owner", ""), &uid) == 0)
        pw = getpwuid(uid);
    printf(" %s ", clock);
    runs = print_state(h);
    printf(",  owner %s,  depth %s,  size %s", pw ? pw->pw_name : attr(h, "security.owner", "?"),
           attr(h, "instance-level", "0"), attr(h, "size", "?"));
    if (runs) /* else nobody answers */
        print_lost_nodes(h);
    putchar('\n');
    if (runs)
        print_queue(h);
    return EXIT_SUCCESS;
}

const struct command cmd_uptime[] = {
    { "uptime", NULL, "Say how long the instance has been up", NULL, 0, 0, 0, run_uptime },
    { 0 },
};
