/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl resource ...: what there is, what is free, what is drained. */

#include "base/rset.h"
#include "client.h"
#include "families.h"

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

/* The set under a key of the answer. NULL: has complained. */
static struct rset *get_set(const json_t *answer, const char *key)
{
    struct rset *r = NULL;
    flux_error_t error = { "" };

    if (rset_decode(json_object_get(answer, key), &r, &error) < 0)
        complain("the answer of the scheduler is malformed: %s", error.text);
    return r;
}

static void print_row(const char *state, const struct rset *r)
{
    CLEANUP(freep) char *nodelist = rset_nodelist(r);
    char name[16];

    snprintf(name, sizeof(name), "%s", state);
    printf("%10s %6zu %8zu %8zu %s\n", name, rset_nnodes(r), rset_count(r, "core"),
           rset_count(r, "gpu"), nodelist ? nodelist : "");
}

static int run_list(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "sched.resource-status", NULL, "list the resources") : NULL;
    CLEANUP(rset_freep) struct rset *all = answer ? get_set(answer, "all") : NULL;
    CLEANUP(rset_freep) struct rset *allocated = all ? get_set(answer, "allocated") : NULL;
    CLEANUP(rset_freep) struct rset *down = allocated ? get_set(answer, "down") : NULL;

    if (!down)
        return EXIT_FAILURE;
    (void)rset_subtract(all, allocated);
    (void)rset_subtract(all, down);
    printf("%10s %6s %8s %8s %s\n", "STATE", "NNODES", "NCORES", "NGPUS", "NODELIST");
    print_row("free", all);
    print_row("allocated", allocated);
    print_row("down", down);
    return EXIT_SUCCESS;
}

static int run_info(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "resource.status", NULL, "get the inventory") : NULL;
    CLEANUP(rset_freep) struct rset *r = answer ? get_set(answer, "R") : NULL;

    if (!r)
        return EXIT_FAILURE;
    printf("%zu nodes, %zu cores, %zu gpus\n", rset_nnodes(r), rset_count(r, "core"),
           rset_count(r, "gpu"));
    return EXIT_SUCCESS;
}

/* --- status --- */

/* The host names of a set of ranks; malloc'd. */
static char *names_of(const struct rset *r, const struct idset *ranks)
{
    struct hostlist *hosts = hostlist_create();
    char *s;

    for (unsigned int id = idset_first(ranks); hosts && id != IDSET_INVALID_ID;
         id = idset_next(ranks, id)) {
        const struct rset_rank *rank = rset_find(r, id);

        if (rank && rank->hostname)
            (void)hostlist_append(hosts, rank->hostname);
    }
    s = hostlist_encode(hosts);
    hostlist_destroy(hosts);
    return s;
}

static void print_status(const char *state, const struct rset *r, const struct idset *ranks,
                         const char *reason)
{
    CLEANUP(freep) char *names = names_of(r, ranks);

    if (idset_count(ranks) > 0)
        printf("%10s %6zu %-30s %s\n", state, idset_count(ranks), names ? names : "",
               reason ? reason : "");
}

static struct idset *get_ids(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return idset_decode(s ? s : "");
}

static int run_status(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer =
        h ? client_call(h, "resource.status", NULL, "get the status of the nodes") : NULL;
    CLEANUP(rset_freep) struct rset *r = answer ? get_set(answer, "R") : NULL;
    CLEANUP(idset_destroyp) struct idset *offline = NULL;
    CLEANUP(idset_destroyp) struct idset *excluded = NULL;
    CLEANUP(idset_destroyp) struct idset *online = NULL;
    CLEANUP(idset_destroyp) struct idset *usable = NULL;
    const char *key;
    json_t *value;

    if (!r || !(offline = rset_ranks(r)) || !(online = get_ids(answer, "online")) ||
        !(excluded = get_ids(answer, "exclude")) || !(usable = idset_copy(online)))
        return EXIT_FAILURE;
    (void)idset_subtract(offline, online);
    (void)idset_subtract(usable, excluded);
    printf("%10s %6s %-30s %s\n", "STATE", "NNODES", "NODELIST", "REASON");
    json_object_foreach (json_object_get(answer, "drain"), key, value) {
        CLEANUP(idset_destroyp) struct idset *drained = idset_decode(key);

        (void)idset_subtract(usable, drained);
        if (drained)
            print_status("drained", r, drained,
                         json_string_value(json_object_get(value, "reason")));
    }
    print_status("excluded", r, excluded, NULL);
    print_status("offline", r, offline, NULL);
    print_status("avail", r, usable, NULL);
    return EXIT_SUCCESS;
}

/* --- drain --- */

static int run_drain(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(freep) char *reason = NULL;
    json_t *request;
    size_t size;
    FILE *f;

    if (c->argc == 0)
        return run_status(c);
    request = json_pack("{s:s}", "targets", c->argv[0]);
    if (c->argc > 1 && (f = open_memstream(&reason, &size))) {
        for (int i = 1; i < c->argc; i++)
            fprintf(f, "%s%s", i > 1 ? " " : "", c->argv[i]);
        (void)fclose(f);
        (void)json_object_set_new(request, "reason", json_string(reason));
    }
    if (!(h = client_open())) {
        json_decref(request);
        return EXIT_FAILURE;
    }
    answer = client_call(h, "resource.drain", request, "drain these nodes");
    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_undrain(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer =
        h ? client_call(h, "resource.undrain", json_pack("{s:s}", "targets", c->argv[0]),
                        "undrain these nodes")
          : NULL;

    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_resource[] = {
    { "resource list", NULL, "Show free, allocated and down resources", NULL, 0, 0, 0, run_list },
    { "resource info", NULL, "Count nodes, cores and gpus", NULL, 0, 0, 0, run_info },
    { "resource status", NULL, "Show which nodes are available, drained, offline", NULL, 0, 0, 0,
      run_status },
    { "resource drain", "[NODES [REASON...]]", "Keep new jobs off nodes (ranks or names)", NULL, 0,
      -1, 0, run_drain },
    { "resource undrain", "NODES", "Let jobs on nodes again", NULL, 1, 1, 0, run_undrain },
    { 0 },
};
