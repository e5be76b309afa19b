/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl overlay: the tree that joins the nodes, from the routers' own knowledge: each knows its
 * parent and its children, and why one was lost. */
#include <string.h>

#include <flux/hostlist.h>
#include <flux/idset.h>
#include "base/number.h"
#include "client.h"
#include "families.h"

static const struct option status_options[] = {
    { 'r', "rank", "N", "the part of the tree from rank N on (default 0)", 0 },
    { 's', "summary", NULL, "one word only: full, partial or degraded", 0 },
    { 'd', "down", NULL, "show only what is not in the tree", 0 },
    { 0 },
};

struct tree {
    flux_t *h;
    bool down_only;
    const char *only_errors; /* NULL: print the tree */
};

static json_t *ask(flux_t *h, uint32_t rank)
{
    return client_call_rank(h, "overlay.status", rank, NULL,
                            "ask a router for its part of the tree");
}

static size_t count_online(const json_t *child)
{
    struct idset *set = idset_decode(json_string_value(json_object_get(child, "online")) ?: "");
    const size_t n = set ? idset_count(set) : 0;

    idset_destroy(set);
    return n;
}

static const char *status_of(const json_t *child)
{
    const char *status = json_string_value(json_object_get(child, "status"));
    const json_int_t size = json_integer_value(json_object_get(child, "subtree"));

    if (!status || strcmp(status, "online") != 0)
        return status ? status : "unknown";
    return count_online(child) == (size_t)size ? "full" : "partial";
}

static void print_seconds(const json_t *child)
{
    const json_t *seconds = json_object_get(child, "seconds");

    if (seconds)
        printf(" for %.0f s", json_number_value(seconds));
}

static void print_child(const json_t *child, int depth)
{
    const char *host = json_string_value(json_object_get(child, "hostname"));
    const char *error = json_string_value(json_object_get(child, "error"));

    printf("%*s%lld %s: %s", 2 * depth, "",
           (long long)json_integer_value(json_object_get(child, "rank")),
           host && *host ? host : "?", status_of(child));
    print_seconds(child);
    if (error)
        printf(" (%s)", error);
    putchar('\n');
}

static bool is_connected(const json_t *child)
{
    const char *status = json_string_value(json_object_get(child, "status"));

    return status && (strcmp(status, "online") == 0 || strcmp(status, "torpid") == 0);
}

/* 0, or -1: has complained. */
static int show_below(const struct tree *t, uint32_t rank, int depth)
{
    CLEANUP(json_decrefp) json_t *o = ask(t->h, rank);
    const json_t *child;
    size_t i;

    if (!o)
        return -1;
    json_array_foreach (json_object_get(o, "children"), i, child) {
        const bool full = strcmp(status_of(child), "full") == 0;

        if (!t->down_only || !full)
            print_child(child, depth);
        if (is_connected(child) && json_integer_value(json_object_get(child, "subtree")) > 1 &&
            (!t->down_only || !full) &&
            show_below(t, (uint32_t)json_integer_value(json_object_get(child, "rank")), depth + 1) <
                0)
            return -1;
    }
    return 0;
}

/* full: everybody below is there; degraded: a child was lost; partial: somebody else is missing. */
static const char *summary(const json_t *o)
{
    const char *word = "full";
    const json_t *child;
    size_t i;

    json_array_foreach (json_object_get(o, "children"), i, child) {
        const char *status = status_of(child);

        if (strcmp(status, "lost") == 0 || strcmp(status, "torpid") == 0)
            return "degraded";
        if (strcmp(status, "full") != 0)
            word = "partial";
    }
    return word;
}

static int run_status(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct tree t = { .down_only = cmdline_has(c, "down") };
    uint32_t rank;

    if (number_parse_u32(cmdline_string(c, "rank", "0"), &rank) < 0)
        return complain("--rank=%s: expected a rank", cmdline_string(c, "rank", ""));
    h = t.h = client_open();
    o = h ? ask(h, rank) : NULL;
    if (!o)
        return EXIT_FAILURE;
    if (cmdline_has(c, "summary")) {
        puts(summary(o));
        return EXIT_SUCCESS;
    }
    printf("%u %s: %s\n", rank, json_string_value(json_object_get(o, "hostname")), summary(o));
    return show_below(&t, rank, 1) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int parse_rank_argument(const char *s, uint32_t *ret)
{
    if (number_parse_u32(s, ret) == 0)
        return 0;
    complain("'%s' is not a rank", s);
    return -1;
}

static int run_parentof(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    uint32_t rank;

    if (parse_rank_argument(c->argv[0], &rank) < 0 || !(h = client_open()))
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

static int run_disconnect(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(json_decrefp) json_t *done = NULL;
    json_int_t parent;
    uint32_t rank;

    if (parse_rank_argument(c->argv[0], &rank) < 0 || !(h = client_open()))
        return EXIT_FAILURE;
    o = client_call(h, "overlay.topology", json_pack("{s:I}", "rank", (json_int_t)rank),
                    "find the parent");
    if (!o)
        return EXIT_FAILURE;
    parent = json_integer_value(json_object_get(o, "parent"));
    if (parent < 0)
        return complain("rank %u is the root of the tree: there is nobody to disconnect it from",
                        rank);
    done = client_call_rank(h, "overlay.disconnect", (uint32_t)parent,
                            json_pack("{s:I}", "rank", (json_int_t)rank), "disconnect it");
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A rank becomes a host name, a name its ranks. */
static int lookup(const struct hostlist *hl, const char *what)
{
    uint32_t rank;
    int found = 0;

    if (number_parse_u32(what, &rank) == 0) {
        const char *host = hostlist_nth(hl, (int)rank);

        if (!host)
            return complain("there is no rank %u", rank);
        puts(host);
        return EXIT_SUCCESS;
    }
    for (int i = 0; i < hostlist_count(hl); i++)
        if (strcmp(hostlist_nth(hl, i), what) == 0)
            printf("%s%d", found++ ? "," : "", i);
    if (!found)
        return complain("no node has the name %s", what);
    putchar('\n');
    return EXIT_SUCCESS;
}

static int run_lookup(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct hostlist *hl;
    const char *text;
    int status = EXIT_SUCCESS;

    if (!h)
        return EXIT_FAILURE;
    o = client_call_rank(h, "attr.get", 0, json_pack("{s:s}", "name", "hostlist"),
                         "read the list of hosts");
    text = json_string_value(json_object_get(o, "value"));
    hl = text ? hostlist_decode(text) : NULL;
    for (int i = 0; hl && i < c->argc && status == EXIT_SUCCESS; i++)
        status = lookup(hl, c->argv[i]);
    hostlist_destroy(hl);
    return o ? status : EXIT_FAILURE;
}

const struct command cmd_overlay[] = {
    { .name = "overlay status",
      .summary = "Show the tree that joins the nodes",
      .options = status_options,
      .run = run_status },
    { .name = "overlay parentof",
      .args = "RANK",
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
      .args = "RANK",
      .summary = "End the session of a node with its parent; it joins again",
      .min_args = 1,
      .max_args = 1,
      .run = run_disconnect },
    { 0 },
};
