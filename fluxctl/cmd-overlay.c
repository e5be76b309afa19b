/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl overlay: the tree that joins the nodes, from the routers' own knowledge: each knows its
 * parent and its children, and why one was lost. */
#include <string.h>

#include <flux/hostlist.h>
#include <flux/idset.h>
#include "base/monotime.h"
#include "base/number.h"
#include "client.h"
#include "color.h"
#include "families.h"
#include "overlay-tree.h"
#include "ranks.h"

#define RPC_TIMEOUT "0.5s"

static const struct option status_options[] = {
    { 'r', "rank", "N", "The part of the tree from rank N on (default 0)" },
    { 's', "summary", NULL, "One word only: the state of that rank" },
    { 'd', "down", NULL, "Show only what is not full" },
    { 'v', "verbose", NULL, "For how long; twice: how long its router took to answer, too" },
    { 'H', "highlight", "TARGET", "Mark these ranks, or hosts" },
    { 't', "timeout", "TIME",
      "For each answer (default " RPC_TIMEOUT "; 0: none); of --wait: for all" },
    { 'w', "wait", "STATE", "First wait until the rank is in this state" },
    { 'L', "color", "WHEN", "Colors: always (default if given), never or auto (default)",
      OPTION_OPTIONAL_ARG },
    { 0, "no-color", NULL, "The same as --color=never" },
    { 0, "no-pretty", NULL, "Indent by blanks, and draw no lines" },
    { 0, "no-ghost", NULL, "Leave out what is behind nodes that are not there" },
    { 0 },
};
static const struct option errors_options[] = {
    { 't', "timeout", "TIME", "For each answer (default " RPC_TIMEOUT "; 0: none)" },
    { 0 },
};
static const struct option disconnect_options[] = {
    { 'r', "parent", "N", "The rank that it is connected to (default: as the shape says)" },
    { 0 },
};

/* One rank. 0, or -1: has complained. */
static int parse_one(flux_t *h, const char *s, uint32_t *ret)
{
    CLEANUP(idset_destroyp) struct idset *ranks = ranks_parse(h, s);

    if (!ranks)
        return -1;
    if (idset_count(ranks) != 1) {
        complain("'%s' is more than one rank", s);
        return -1;
    }
    *ret = idset_first(ranks);
    return 0;
}

static int parse_timeout(const struct cmdline *c, const char *fallback, double *ret)
{
    if (parse_duration(cmdline_string(c, "timeout", fallback), "--timeout", ret) < 0)
        return -1;
    if (*ret == 0.)
        *ret = -1.;
    return 0;
}

/* --- status --- */

struct printing {
    int verbose;
    bool down_only, pretty, colors;
    const struct idset *marked; /* or NULL */
    char indent[256];
};

static const char *color_of(enum overlay_state state)
{
    switch (state) {
    case OVERLAY_LOST:
    case OVERLAY_DEGRADED:
    case OVERLAY_TORPID:
        return COLOR_RED;
    case OVERLAY_PARTIAL:
    case OVERLAY_OFFLINE:
        return COLOR_YELLOW;
    default:
        return "";
    }
}

static void print_node(const struct printing *p, const struct overlay_node *n)
{
    const bool marked = p->marked && idset_test(p->marked, n->rank);
    const char *color = p->colors ? color_of(n->state) : "";

    if (marked)
        printf("%s%u %s%s", p->colors ? COLOR_MARK : "<<", n->rank, n->host,
               p->colors ? COLOR_END : ">>");
    else
        printf("%u %s", n->rank, n->host);
    printf(": %s%s%s", color, overlay_state_name(n->state), color[0] ? COLOR_END : "");
    if (p->verbose > 0 && n->seconds >= 0.)
        printf(" for %.0f s", n->seconds);
    if (p->verbose > 1 && n->answer_msec >= 0.)
        printf(" (answered in %.3f ms)", n->answer_msec);
    if (n->error && n->state != OVERLAY_FULL)
        printf(" (%s)", n->error);
    putchar('\n');
}

static bool is_shown(const struct printing *p, const struct overlay_node *n)
{
    return !p->down_only || n->state != OVERLAY_FULL;
}

static size_t count_shown(const struct printing *p, const struct overlay_node *n)
{
    size_t count = 0;

    for (size_t i = 0; i < n->count; i++)
        count += is_shown(p, n->children[i]);
    return count;
}

static void print_below(struct printing *p, const struct overlay_node *n)
{
    const size_t len = strlen(p->indent);
    size_t left = count_shown(p, n);

    for (size_t i = 0; i < n->count; i++) {
        if (!is_shown(p, n->children[i]))
            continue;
        left--;
        printf("%s%s", p->indent, !p->pretty ? "  " : left > 0 ? "\u251c\u2500 " : "\u2514\u2500 ");
        print_node(p, n->children[i]);
        (void)snprintf(p->indent + len, sizeof(p->indent) - len, "%s",
                       !p->pretty ? "  "
                       : left > 0 ? "\u2502  "
                                  : "   ");
        print_below(p, n->children[i]);
        p->indent[len] = '\0';
    }
}

static double seconds_left(uint64_t since_usec, double limit)
{
    const double left = limit - (double)(monotime_usec() - since_usec) * 1e-6;

    return left > 0. ? left : 0.;
}

/* Look again whenever nodes come or go, and every second: not all is told of. NULL: has complained.
 */
static struct overlay_node *wait_state(const struct overlay_query *q, uint32_t rank,
                                       enum overlay_state state, double limit)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc_pack(q->h, "groups.get", FLUX_NODEID_ANY, FLUX_RPC_STREAMING,
                                     "{s:s}", "name", "broker.online");
    const uint64_t since_usec = monotime_usec();

    for (;;) {
        CLEANUP(overlay_node_freep) struct overlay_node *n = overlay_tree(q, rank);
        double pause = 1.;

        if (!n || n->state == state)
            return TAKE(n);
        if (limit >= 0. && (pause = seconds_left(since_usec, limit)) == 0.) {
            complain("rank %u is not %s within %g s, but %s", rank, overlay_state_name(state),
                     limit, overlay_state_name(n->state));
            return NULL;
        }
        if (!f || flux_future_wait_for(f, pause < 1. ? pause : 1.) < 0)
            continue; /* or the stream has broken: then this is a poll */
        if (flux_future_get(f, NULL) < 0) {
            flux_future_destroy(f);
            f = NULL;
        } else {
            flux_future_reset(f);
        }
    }
}

static struct overlay_node *look(const struct cmdline *c, const struct overlay_query *q,
                                 uint32_t rank)
{
    const char *state_name = cmdline_string(c, "wait", NULL);
    struct overlay_query patient = *q;
    enum overlay_state state;
    double limit = -1.;

    if (!state_name)
        return overlay_tree(q, rank);
    if (overlay_state_parse(state_name, &state) < 0) {
        complain("--wait must be full, partial, degraded, torpid, offline or lost, not '%s'",
                 state_name);
        return NULL;
    }
    if (cmdline_has(c, "timeout")) {
        limit = q->timeout;
        (void)parse_duration(RPC_TIMEOUT, "", &patient.timeout);
    }
    return wait_state(&patient, rank, state, limit);
}

static int run_status(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(overlay_node_freep) struct overlay_node *root = NULL;
    CLEANUP(idset_destroyp) struct idset *marked = NULL;
    const bool summary = cmdline_has(c, "summary");
    struct overlay_query q = { .ghosts = !summary && !cmdline_has(c, "no-ghost"),
                               .brief = summary || cmdline_has(c, "down") };
    struct printing p = { .verbose = cmdline_count(c, "verbose"),
                          .down_only = cmdline_has(c, "down"),
                          .pretty = !cmdline_has(c, "no-pretty") };
    uint32_t rank;

    if (number_parse_u32(cmdline_string(c, "rank", "0"), &rank) < 0)
        return complain("--rank=%s: expected a rank", cmdline_string(c, "rank", ""));
    if (parse_timeout(c, RPC_TIMEOUT, &q.timeout) < 0 || color_parse(c, &p.colors) < 0 ||
        !(h = q.h = client_open()))
        return EXIT_FAILURE;
    if (cmdline_has(c, "highlight") &&
        !(marked = ranks_parse(h, cmdline_string(c, "highlight", ""))))
        return EXIT_FAILURE;
    p.marked = marked;
    if (!(root = look(c, &q, rank)))
        return EXIT_FAILURE;
    if (summary) {
        puts(overlay_state_name(root->state));
        return EXIT_SUCCESS;
    }
    print_node(&p, root);
    print_below(&p, root);
    return EXIT_SUCCESS;
}

/* --- errors --- */

/* Nodes about which the same is said. */
struct complaint {
    struct idset *ranks;
    struct hostlist *hosts;
    const char *text; /* lent from the tree */
};

struct complaints {
    struct complaint *all;
    size_t count;
};

static int add_complaint(struct complaints *cs, const struct overlay_node *n)
{
    struct complaint *c = NULL;

    for (size_t i = 0; i < cs->count && !c; i++)
        if (strcmp(cs->all[i].text, n->error) == 0)
            c = &cs->all[i];
    if (!c) {
        struct complaint *more = reallocarray(cs->all, cs->count + 1, sizeof(*more));

        if (!more)
            return -ENOMEM;
        cs->all = more;
        c = &cs->all[cs->count++];
        *c = (struct complaint){ .ranks = idset_create(0, IDSET_FLAG_AUTOGROW),
                                 .hosts = hostlist_create(),
                                 .text = n->error };
    }
    return c->ranks && c->hosts && idset_set(c->ranks, n->rank) == 0 &&
                   hostlist_append(c->hosts, n->host) >= 0
               ? 0
               : -ENOMEM;
}

static int collect(struct complaints *cs, const struct overlay_node *n)
{
    int rc = n->error ? add_complaint(cs, n) : 0;

    for (size_t i = 0; i < n->count && rc == 0; i++)
        rc = collect(cs, n->children[i]);
    return rc;
}

static void print_complaint(struct complaint *c)
{
    CLEANUP(freep) char *ranks = idset_encode(c->ranks, IDSET_FLAG_RANGE);
    CLEANUP(freep) char *hosts = NULL;

    hostlist_uniq(c->hosts);
    hosts = hostlist_encode(c->hosts);
    printf("%s (rank%s %s): %s\n", hosts ? hosts : "?", idset_count(c->ranks) == 1 ? "" : "s",
           ranks ? ranks : "?", c->text);
    idset_destroy(c->ranks);
    hostlist_destroy(c->hosts);
}

static int run_errors(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(overlay_node_freep) struct overlay_node *root = NULL;
    struct complaints cs = { 0 };
    struct overlay_query q = { 0 };
    int rc;

    if (parse_timeout(c, RPC_TIMEOUT, &q.timeout) < 0 || !(h = q.h = client_open()) ||
        !(root = overlay_tree(&q, 0)))
        return EXIT_FAILURE;
    rc = collect(&cs, root);
    for (size_t i = 0; i < cs.count; i++)
        print_complaint(&cs.all[i]);
    free(cs.all);
    return rc < 0 ? complain("%s", strerror(-rc)) : EXIT_SUCCESS;
}

/* --- */

static int run_parentof(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    uint32_t rank;

    if (!(h = client_open()) || parse_one(h, c->argv[0], &rank) < 0)
        return EXIT_FAILURE;
    o = client_call(h, "overlay.topology", json_pack("{s:I}", "rank", (json_int_t)rank),
                    "find the parent");
    if (!o)
        return EXIT_FAILURE;
    if (json_integer_value(json_object_get(o, "parent")) < 0)
        return complain("rank %u is the root of the tree and has no parent", rank);
    printf("%lld\n", (long long)json_integer_value(json_object_get(o, "parent")));
    return EXIT_SUCCESS;
}

/* The rank that --parent names, or the one above it. 0, or -1: has complained. */
static int find_parent(flux_t *h, const struct cmdline *c, uint32_t rank, uint32_t *ret)
{
    const char *given = cmdline_string(c, "parent", NULL);
    CLEANUP(json_decrefp) json_t *o = NULL;
    json_int_t parent;

    if (given && number_parse_u32(given, ret) < 0) {
        complain("--parent must be a rank, not '%s'", given);
        return -1;
    }
    if (given)
        return 0;
    o = client_call(h, "overlay.topology", json_pack("{s:I}", "rank", (json_int_t)rank),
                    "find the parent");
    if (!o)
        return -1;
    parent = json_integer_value(json_object_get(o, "parent"));
    if (parent < 0) {
        complain("rank %u is the root of the tree: there is nobody to disconnect it from", rank);
        return -1;
    }
    *ret = (uint32_t)parent;
    return 0;
}

static int run_disconnect(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *done = NULL;
    uint32_t rank, parent;

    if (!h || parse_one(h, c->argv[0], &rank) < 0 || find_parent(h, c, rank, &parent) < 0)
        return EXIT_FAILURE;
    done = client_call_rank(h, "overlay.disconnect", parent,
                            json_pack("{s:I}", "rank", (json_int_t)rank), "disconnect it");
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Ranks become names of hosts, hosts become ranks. */
static int lookup(flux_t *h, const struct hostlist *hosts, const char *what)
{
    CLEANUP(idset_destroyp) struct idset *ranks = idset_decode(what);
    CLEANUP(hostlist_destroyp) struct hostlist *found = hostlist_create();
    CLEANUP(freep) char *text = NULL;

    if (!ranks || idset_count(ranks) == 0) {
        idset_destroy(ranks);
        ranks = ranks_parse(h, what);
        text = ranks ? idset_encode(ranks, IDSET_FLAG_RANGE) : NULL;
    } else {
        for (unsigned int id = idset_first(ranks); found && id != IDSET_INVALID_ID;
             id = idset_next(ranks, id)) {
            if (!hostlist_nth(hosts, (int)id))
                return complain("there is no rank %u", id);
            (void)hostlist_append(found, hostlist_nth(hosts, (int)id));
        }
        text = found ? hostlist_encode(found) : NULL;
    }
    if (!text)
        return EXIT_FAILURE;
    puts(text);
    return EXIT_SUCCESS;
}

static int run_lookup(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(hostlist_destroyp) struct hostlist *hosts = h ? ranks_hosts(h) : NULL;
    int status = hosts ? EXIT_SUCCESS : EXIT_FAILURE;

    for (int i = 0; i < c->argc && status == EXIT_SUCCESS; i++)
        status = lookup(h, hosts, c->argv[i]);
    return status;
}

const struct command cmd_overlay[] = {
    { .name = "overlay status",
      .summary = "Show the tree that joins the nodes",
      .options = status_options,
      .run = run_status },
    { .name = "overlay errors",
      .summary = "Print why nodes are not there, or were not",
      .options = errors_options,
      .run = run_errors },
    { .name = "overlay parentof",
      .args = "RANK|HOST",
      .summary = "Print the rank above a rank",
      .min_args = 1,
      .max_args = 1,
      .run = run_parentof },
    { .name = "overlay lookup",
      .args = "TARGET...",
      .summary = "Print host names of ranks, and ranks of host names",
      .min_args = 1,
      .max_args = -1,
      .run = run_lookup },
    { .name = "overlay disconnect",
      .args = "RANK|HOST",
      .summary = "End the session of a node with its parent; it joins again",
      .options = disconnect_options,
      .min_args = 1,
      .max_args = 1,
      .run = run_disconnect },
    { 0 },
};
