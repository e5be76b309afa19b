/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job taskmap: which task of a job runs on which of its nodes (RFC 34), in every notation;
 * and the same of a map that is given, without an instance. */
#include <string.h>

#include "base/eventlog.h"
#include "base/number.h"
#include "base/rset.h"
#include "base/taskmap.h"
#include "client.h"
#include "families.h"
#include "job-open.h"

struct source {
    struct taskmap *map;
    struct rset *r; /* of the job; NULL: a map of no job, nodes are numbers */
};

static const char *host_of(const struct source *s, int node)
{
    const struct rset_rank *rank = s->r && node >= 0 ? rset_nth(s->r, (size_t)node) : NULL;
    static char number[16];

    if (rank && rank->hostname)
        return rank->hostname;
    snprintf(number, sizeof(number), "%d", node);
    return number;
}

/* --- where the map is --- */

/* The map in the event shell.start. NULL: has complained. */
static struct taskmap *map_of_log(const char *log, flux_jobid_t id)
{
    flux_error_t error = { "it has not started its tasks" };
    CLEANUP(json_decrefp) json_t *entries = eventlog_decode(log, strlen(log), &error);
    struct taskmap *map = NULL;
    json_t *entry;
    size_t i;

    json_array_foreach (entries, i, entry) {
        const char *name;
        json_t *context = NULL;

        if (eventlog_entry_parse(entry, NULL, &name, &context) == 0 &&
            strcmp(name, "shell.start") == 0) {
            (void)taskmap_decode(json_object_get(context, "taskmap"), &map, &error);
            break;
        }
    }
    if (!map)
        complain("job %s has no task map: %s", jobid_text(id), error.text);
    return map;
}

static int load_job(struct source *s, flux_jobid_t id)
{
    static const char log_key[] = "guest.exec.eventlog";
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const char *log = "", *r = "";
    flux_error_t error = { "" };

    if (!h)
        return -1;
    answer = fetch_job_keys(h, id, json_pack("[s s]", log_key, "R"), "the task map");
    if (!answer)
        return -1;
    (void)json_unpack(answer, "{s?s s?s}", log_key, &log, "R", &r);
    if (!(s->map = map_of_log(log, id)))
        return -1;
    if (rset_decode_string(r, &s->r, &error) == 0)
        return 0;
    complain("R of job %s: %s", jobid_text(id), error.text);
    return -1;
}

/* No id is 0, but "0" is a task on a node. */
static int load(struct source *s, const char *arg)
{
    flux_error_t error = { "" };
    flux_jobid_t id;

    if (flux_job_id_parse(arg, &id) == 0 && id != 0)
        return load_job(s, id);
    if (taskmap_parse(arg, &s->map, &error) == 0)
        return 0;
    complain("'%s' is neither a job id nor a task map: %s", arg, error.text);
    return -1;
}

/* --- what is printed --- */

static int print_text(char *text)
{
    if (!text)
        return complain("out of memory");
    puts(text);
    free(text);
    return EXIT_SUCCESS;
}

static int print_json(const struct source *s)
{
    json_t *map = taskmap_encode(s->map);
    CLEANUP(json_decrefp) json_t *o = json_pack("{s:i s:o}", "version", 1, "map", map);

    return print_text(o ? json_dumps(o, JSON_COMPACT) : NULL);
}

static int print_raw(const struct source *s)
{
    return print_text(taskmap_encode_raw(s->map));
}

static int print_pmi(const struct source *s)
{
    return print_text(taskmap_encode_pmi(s->map));
}

static int print_tasks_of(const struct source *s, int node, const char *label)
{
    struct idset *tasks = taskmap_tasks(s->map, node);
    char *text = tasks ? idset_encode(tasks, IDSET_FLAG_RANGE) : NULL;

    idset_destroy(tasks);
    if (label)
        printf("%s: ", label);
    return print_text(text);
}

/* "host: tasks" */
static int print_hosts(const struct source *s)
{
    int status = EXIT_SUCCESS;

    for (int node = 0; node < taskmap_nnodes(s->map) && status == EXIT_SUCCESS; node++)
        if (taskmap_count(s->map, node) > 0)
            status = print_tasks_of(s, node, host_of(s, node));
    return status;
}

/* "task: host" */
static int print_multiline(const struct source *s)
{
    for (int task = 0; task < taskmap_ntasks(s->map); task++)
        printf("%d: %s\n", task, host_of(s, taskmap_node(s->map, task)));
    return EXIT_SUCCESS;
}

static const struct notation {
    const char *name;
    int (*print)(const struct source *s);
} notations[] = {
    { "json", print_json },           { "raw", print_raw },     { "pmi", print_pmi },
    { "multiline", print_multiline }, { "hosts", print_hosts },
};

static const struct notation *find_notation(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(notations); i++)
        if (strcmp(notations[i].name, name) == 0)
            return &notations[i];
    complain("--to must be json, raw, pmi, multiline or hosts, not '%s'", name);
    return NULL;
}

/* --- questions --- */

/* A node of the job, by number or name. -1: has complained. */
static int parse_node(const struct source *s, const char *text)
{
    const int nnodes = s->r ? (int)rset_nnodes(s->r) : taskmap_nnodes(s->map);
    int node;

    if (number_parse_int(text, 0, nnodes - 1, &node) == 0)
        return node;
    for (node = 0; s->r && node < nnodes; node++)
        if (strcmp(host_of(s, node), text) == 0)
            return node;
    complain("there is no node '%s', only %s%d", text, nnodes > 1 ? "0 to " : "", nnodes - 1);
    return -1;
}

/* The node of a task. -1: has complained. */
static int node_of_task(const struct source *s, const char *text)
{
    int task;

    if (number_parse_int(text, 0, taskmap_ntasks(s->map) - 1, &task) == 0)
        return taskmap_node(s->map, task);
    complain("there is no task '%s', only %s%d", text, taskmap_ntasks(s->map) > 1 ? "0 to " : "",
             taskmap_ntasks(s->map) - 1);
    return -1;
}

static int answer(const struct cmdline *c, const struct source *s)
{
    const char *of_node = cmdline_string(c, "taskids", NULL);
    const char *count_of = cmdline_string(c, "ntasks", NULL);
    const char *of_task = cmdline_string(c, "nodeid", NULL);
    const char *host_of_task = cmdline_string(c, "hostname", NULL);
    int node = of_node || count_of ? parse_node(s, of_node ? of_node : count_of)
                                   : node_of_task(s, of_task ? of_task : host_of_task);

    if (node < 0)
        return EXIT_FAILURE;
    if (of_node)
        return print_tasks_of(s, node, NULL);
    if (host_of_task)
        printf("%s\n", host_of(s, node));
    else
        printf("%d\n", count_of ? taskmap_count(s->map, node) : node);
    return EXIT_SUCCESS;
}

static int run_taskmap(const struct cmdline *c)
{
    const struct notation *to = find_notation(cmdline_string(c, "to", "json"));
    struct source s = { NULL, NULL };
    int status = EXIT_FAILURE;

    if (!to)
        return EXIT_FAILURE;
    if (c->nvalues > 1)
        return complain("one question at a time: --%s and --%s exclude each other",
                        c->values[0].option->name, c->values[1].option->name);
    if (load(&s, c->argv[0]) == 0)
        status = c->nvalues == 0 || cmdline_has(c, "to") ? to->print(&s) : answer(c, &s);
    taskmap_free(s.map);
    rset_free(s.r);
    return status;
}

static const struct option taskmap_options[] = {
    { 0, "to", "NOTATION", "json (RFC 34; default), raw, pmi, multiline or hosts" },
    { 0, "taskids", "NODE", "Print the tasks of a node, by number or name" },
    { 0, "ntasks", "NODE", "Print how many they are" },
    { 0, "nodeid", "TASK", "Print the number of the node of a task" },
    { 0, "hostname", "TASK", "Print its name" },
    { 0 },
};

const struct command cmd_job_taskmap[] = {
    { "job taskmap", "JOBID|TASKMAP", "Print which task of a job runs on which node",
      taskmap_options, 1, 1, 0, run_taskmap },
    { 0 },
};
