/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl hwloc: the hardware topology of the nodes, asked of the resource service of each rank, or
 * read here with --local. The objects are counted in the XML as hwloc wrote it: an object is an
 * element of that name, and text in attributes has no '<' in it. */
#include <string.h>

#include "client.h"
#include "families.h"
#include "hwloc-local.h"
#include "ranks.h"

struct counts {
    size_t machines, cores, pus;
};

typedef void (*topology_f)(const char *xml, void *arg);

static size_t count_objects(const char *xml, const char *type)
{
    char element[64];
    size_t n = 0;

    snprintf(element, sizeof(element), "<object type=\"%s\"", type);
    for (const char *s = xml; (s = strstr(s, element)); s++)
        n++;
    return n;
}

static void add_counts(const char *xml, void *arg)
{
    struct counts *n = arg;

    n->machines += count_objects(xml, "Machine");
    n->cores += count_objects(xml, "Core");
    n->pus += count_objects(xml, "PU");
}

static void print_topology(const char *xml, void *arg)
{
    size_t len = strlen(xml);

    printf("%s%s", xml, len > 0 && xml[len - 1] == '\n' ? "" : "\n");
}

struct each {
    topology_f fn;
    void *arg;
    int status;
};

static void on_topology(uint32_t rank, const json_t *answer, void *arg)
{
    struct each *each = arg;
    const char *xml = json_string_value(json_object_get(answer, "xml"));

    if (xml)
        each->fn(xml, each->arg);
    else
        each->status = complain("the answer of rank %u is malformed", rank);
}

static int ask_ranks(const char *which, topology_f fn, void *arg)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(idset_destroyp) struct idset *ranks = h ? ranks_parse(h, which) : NULL;
    struct each each = { .fn = fn, .arg = arg };
    const struct ranks_query q = { .h = h,
                                   .ranks = ranks,
                                   .topic = "resource.topo-get",
                                   .what = "get its topology",
                                   .fn = on_topology,
                                   .arg = &each };
    int status;

    if (!ranks)
        return EXIT_FAILURE;
    status = ranks_ask(&q);
    return status ? status : each.status;
}

static int for_each_topology(const struct cmdline *c, topology_f fn, void *arg)
{
    CLEANUP(freep) char *xml = NULL;
    const char *ranks = cmdline_string(c, "rank", cmdline_string(c, "ranks", NULL));

    if (!cmdline_has(c, "local"))
        return ask_ranks(ranks ? ranks : "all", fn, arg);
    if (ranks)
        return complain("--local and --rank exclude each other");
    if (!(xml = hwloc_local_xml()))
        return EXIT_FAILURE;
    fn(xml, arg);
    return EXIT_SUCCESS;
}

static int run_info(const struct cmdline *c)
{
    struct counts n = { 0 };
    const int status = for_each_topology(c, add_counts, &n);

    if (status != EXIT_SUCCESS && n.machines == 0)
        return status; /* else: what the others have */
    if (cmdline_has(c, "json"))
        printf("{\"machines\":%zu,\"cores\":%zu,\"pus\":%zu}\n", n.machines, n.cores, n.pus);
    else
        printf("%zu Machine%s, %zu Core%s, %zu PU%s\n", n.machines, plural(n.machines), n.cores,
               plural(n.cores), n.pus, plural(n.pus));
    return status;
}

static int run_topology(const struct cmdline *c)
{
    return for_each_topology(c, print_topology, NULL);
}

#define WHERE_OPTIONS                                                                           \
    { 'l', "local", NULL, "Look at this node, as this process sees it" },                       \
        { 'r', "rank", "NODESET", "These ranks (0-3,7), hosts (node[0-3]), or all (default)" }, \
    {                                                                                           \
        0, "ranks", "NODESET", "Same", OPTION_HIDDEN                                            \
    }
static const struct option info_options[] = {
    WHERE_OPTIONS,
    { 0, "json", NULL, "Print JSON" },
    { 0 },
};
static const struct option topology_options[] = { WHERE_OPTIONS, { 0 } };

const struct command cmd_hwloc[] = {
    { "hwloc info", NULL, "Count machines, cores and processing units", info_options, 0, 0, 0,
      run_info },
    { "hwloc topology", NULL, "Print the topology of nodes as XML", topology_options, 0, 0, 0,
      run_topology },
    { 0 },
};
