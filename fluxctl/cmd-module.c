/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl module: the services of this node. Each is a process of its own. To load a daemon of Flux
 * is to call its socket, which starts it; to remove it is to ask it to end, and the next request to
 * it starts it again: it takes no arguments. A module of somebody else is a file, which a unit of
 * its own runs (module-unit.c). Refuses to end the router. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/number.h"
#include "client.h"
#include "families.h"
#include "module-unit.h"
#include "ranks.h"

static int by_name(const void *a, const void *b)
{
    const char *x = json_string_value(json_object_get(*(json_t *const *)a, "name"));
    const char *y = json_string_value(json_object_get(*(json_t *const *)b, "name"));

    return strcmp(x ? x : "", y ? y : "");
}

static void print_service(const json_t *o)
{
    const char *name = json_string_value(json_object_get(o, "name"));
    const char *state = json_string_value(json_object_get(o, "state"));
    const json_t *pid = json_object_get(o, "pid");
    const json_t *uid = json_object_get(o, "uid");
    const json_t *idle = json_object_get(o, "idle");

    printf("%-24s %-10s ", name ? name : "?", state ? state : "?");
    if (pid)
        printf("%8" JSON_INTEGER_FORMAT " ", json_integer_value(pid));
    else
        printf("%8s ", "-");
    if (uid)
        printf("%8" JSON_INTEGER_FORMAT " ", json_integer_value(uid));
    else
        printf("%8s ", "-");
    printf("%10" JSON_INTEGER_FORMAT " ", json_integer_value(json_object_get(o, "messages")));
    if (idle)
        printf("%8.0f\n", json_number_value(idle));
    else
        printf("%8s\n", "-");
}

/* Leave this one only. */
static void select_service(json_t *list, const char *name)
{
    for (size_t i = json_array_size(list); i-- > 0;) {
        const char *s = json_string_value(json_object_get(json_array_get(list, i), "name"));

        if (!s || strcmp(s, name) != 0)
            (void)json_array_remove(list, i);
    }
}

/* --rank: that node's. 0, or -1: has complained. */
static int parse_nodeid(const struct cmdline *c, uint32_t *ret)
{
    *ret = FLUX_NODEID_ANY;
    if (!cmdline_has(c, "rank") || number_parse_u32(cmdline_string(c, "rank", ""), ret) == 0)
        return 0;
    complain("--rank must be a rank, not '%s'", cmdline_string(c, "rank", ""));
    return -1;
}

static int run_list(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(freep) json_t **services = NULL;
    uint32_t nodeid;
    json_t *list;
    size_t n = 0;

    if (parse_nodeid(c, &nodeid) < 0 || !(h = client_open()) ||
        !(answer = client_call_rank(h, "broker.service-list", nodeid, NULL, "list the services")))
        return EXIT_FAILURE;
    list = json_object_get(answer, "services");
    services = calloc(json_array_size(list) + 1, sizeof(*services));
    if (!services)
        return complain("out of memory");
    if (c->argc > 0)
        select_service(list, c->argv[0]);
    for (; n < json_array_size(list); n++)
        services[n] = json_array_get(list, n);
    if (c->argc > 0 && n == 0)
        return complain("there is no service '%s'", c->argv[0]);
    if (cmdline_has(c, "json")) {
        (void)json_dumpf(list, stdout, JSON_COMPACT);
        putchar('\n');
        return EXIT_SUCCESS;
    }
    qsort(services, n, sizeof(*services), by_name);
    printf("%-24s %-10s %8s %8s %10s %8s\n", "SERVICE", "STATE", "PID", "UID", "MESSAGES", "IDLE");
    for (size_t i = 0; i < n; i++)
        print_service(services[i]);
    return EXIT_SUCCESS;
}

/* --- load, remove, reload --- */

#define END_POLL_USEC 10000
#define END_POLLS     1000
#define START_TRIES   3

/* What the router says of a service: 1 and *ret (a new reference), 0: it knows none of this name
 * yet, -1: complained. */
static int find_service(flux_t *h, const char *name, json_t **ret)
{
    CLEANUP(json_decrefp)
    json_t *answer = client_call(h, "broker.service-list", NULL, "list the services");
    size_t i;
    json_t *o;

    json_array_foreach (json_object_get(answer, "services"), i, o) {
        const char *s = json_string_value(json_object_get(o, "name"));

        if (s && strcmp(s, name) == 0) {
            *ret = json_incref(o);
            return 1;
        }
    }
    return answer ? 0 : -1;
}

/* 1: it runs, 0: it does not, -1: complained. The router's own services belong to nobody. */
static int is_running(flux_t *h, const char *name)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    int rc = find_service(h, name, &o);
    const char *state = json_string_value(json_object_get(o, "state"));

    if (rc <= 0)
        return rc;
    if (state && strcmp(state, "running") == 0 && !json_object_get(o, "uid")) {
        complain("%s is part of the router, not a module; `flux shutdown` ends the instance", name);
        return -1;
    }
    return state && strcmp(state, "idle") != 0;
}

/* The process before may not be gone yet: then the answer is ECONNRESET, and the next process
 * answers. */
static int start_service(flux_t *h, const char *name)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    char topic[128];

    snprintf(topic, sizeof(topic), "%s.ping", name);
    for (int tries = 0; tries < START_TRIES; tries++) {
        flux_future_destroy(f);
        f = flux_rpc(h, topic, "{}", FLUX_NODEID_ANY, 0);
        if (f && flux_rpc_get(f, NULL) == 0)
            return EXIT_SUCCESS;
        if (errno != ECONNRESET)
            break;
    }
    if (errno == ENOSYS)
        return complain("there is no socket for a service '%s' on this node; install its daemon "
                        "and start flux-%s.socket",
                        name, name);
    return complain_future(f, "cannot start %s", name);
}

/* The process that answers; 0: it does not say. */
static json_int_t service_pid(flux_t *h, const char *name)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    json_int_t pid = 0;
    char topic[128];

    snprintf(topic, sizeof(topic), "%s.stats-get", name);
    f = flux_rpc(h, topic, "{}", FLUX_NODEID_ANY, 0);
    return f && flux_rpc_get_unpack(f, "{s?I}", "pid", &pid) == 0 ? pid : 0;
}

/* Does this process (0: any) still run? Somebody else may have started the next one already. */
static int still_runs(flux_t *h, const char *name, json_int_t pid)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    int rc = find_service(h, name, &o);
    const char *state = json_string_value(json_object_get(o, "state"));

    if (rc <= 0 || !state || strcmp(state, "idle") == 0)
        return rc < 0 ? rc : 0;
    return pid == 0 || json_integer_value(json_object_get(o, "pid")) == pid;
}

/* Ask it to end, and wait until it has. */
static int end_service(flux_t *h, const char *name)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    json_int_t pid = service_pid(h, name);
    char topic[128];
    int rc = 1;

    snprintf(topic, sizeof(topic), "%s.shutdown", name);
    f = flux_rpc(h, topic, "{}", FLUX_NODEID_ANY, 0);
    if (!f || (flux_rpc_get(f, NULL) < 0 && errno != ECONNRESET))
        return complain_future(f, "cannot end %s", name);
    for (int i = 0; i < END_POLLS && (rc = still_runs(h, name, pid)) > 0; i++)
        (void)usleep(END_POLL_USEC);
    return rc > 0 ? complain("%s has not ended yet", name) : rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* 1: end it, 0: nothing to do, -1: complained. */
static int check_removal(flux_t *h, const struct cmdline *c)
{
    const char *name = c->argv[0];
    int running = is_running(h, name);

    if (running == 0 && !cmdline_has(c, "force")) {
        complain("%s does not run", name);
        return -1;
    }
    return running;
}

/* --- daemons of Flux: what is called starts --- */

static int check_daemon(const struct cmdline *c)
{
    if (c->argc > 1)
        return complain("%s is a daemon of Flux and takes no arguments; set it up in the "
                        "configuration of the instance, see flux-config(5)",
                        c->argv[0]);
    return EXIT_SUCCESS;
}

static int load_daemon(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int running;

    if (check_daemon(c) != EXIT_SUCCESS || !(h = client_open()) ||
        (running = is_running(h, c->argv[0])) < 0)
        return EXIT_FAILURE;
    if (running)
        return complain("%s runs already", c->argv[0]);
    return start_service(h, c->argv[0]);
}

static int remove_daemon(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    int rc;

    if (!h || (rc = check_removal(h, c)) < 0)
        return EXIT_FAILURE;
    return rc > 0 ? end_service(h, c->argv[0]) : EXIT_SUCCESS;
}

static int reload_daemon(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int rc;

    if (check_daemon(c) != EXIT_SUCCESS || !(h = client_open()) || (rc = check_removal(h, c)) < 0 ||
        (rc > 0 && end_service(h, c->argv[0]) != EXIT_SUCCESS))
        return EXIT_FAILURE;
    return start_service(h, c->argv[0]);
}

/* --- modules of others: units --- */

static json_t *arguments_of(const struct cmdline *c)
{
    json_t *args = json_array();

    for (int i = 1; i < c->argc; i++)
        (void)json_array_append_new(args, json_string(c->argv[i]));
    return args;
}

/* What a name or path is: its name and path, lent by *ret. */
static int look_up(const struct manager *m, const char *what, json_t **ret, const char **ret_name,
                   const char **ret_path)
{
    json_t *o = module_describe(m, what);

    if (!o)
        return EXIT_FAILURE;
    *ret = o;
    if (json_unpack(o, "{s:s s:s}", "name", ret_name, "path", ret_path) < 0)
        return complain("%s: the description of the module is malformed", what);
    if (manager_has_daemon(m, *ret_name))
        return complain("%s: there is a daemon of Flux of the name %s", *ret_path, *ret_name);
    return EXIT_SUCCESS;
}

static int load_module(const struct manager *m, const struct cmdline *c)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(json_decrefp) json_t *args = NULL;
    const char *name, *path;
    int loaded;

    if (look_up(m, c->argv[0], &o, &name, &path) != EXIT_SUCCESS ||
        (loaded = module_is_loaded(m, name)) < 0)
        return EXIT_FAILURE;
    if (loaded)
        return complain("%s runs already; `flux module reload` starts it anew", name);
    args = arguments_of(c);
    return args ? module_start(m, name, path, args) : complain("out of memory");
}

/* Not ours to stop: the owner of the instance asks it himself. */
static int ask_to_end(const struct cmdline *c, const char *name)
{
    CLEANUP(flux_closep) flux_t *h = client_open();

    return h ? end_service(h, name) : EXIT_FAILURE;
}

/* A module is named by its name, its path, or what finds it. */
static const char *name_of(const struct manager *m, const char *what, json_t **ret)
{
    const char *name = what, *path;

    if (strchr(what, '/') && look_up(m, what, ret, &name, &path) != EXIT_SUCCESS)
        return NULL;
    return name;
}

static int remove_module(const struct manager *m, const struct cmdline *c, const char *name)
{
    int status = module_stop(m, name);

    if (status == MODULE_NOT_PERMITTED)
        return ask_to_end(c, name);
    if (status == MODULE_NOT_LOADED)
        return cmdline_has(c, "force") ? EXIT_SUCCESS : complain("%s is not loaded", name);
    return status;
}

/* With no arguments those it was loaded with; a name finds the file that it was loaded from. */
static int reload_module(const struct manager *m, const struct cmdline *c)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(json_decrefp) json_t *record = NULL;
    CLEANUP(json_decrefp) json_t *args = NULL;
    const char *name = name_of(m, c->argv[0], &o);
    const char *path;
    int status;

    if (!name)
        return EXIT_FAILURE;
    record = module_record(m, name);
    path = json_string_value(json_object_get(o ? o : record, "path"));
    if (!path) {
        if (look_up(m, name, &o, &name, &path) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    args = c->argc > 1 ? arguments_of(c) : json_incref(json_object_get(record, "args"));
    if (!args)
        args = json_array();
    if ((status = remove_module(m, c, name)) != EXIT_SUCCESS)
        return status;
    return module_start(m, name, path, args);
}

/* --- load, remove, reload --- */

static bool is_daemon(const struct manager *m, const struct cmdline *c)
{
    const char *what = c->argv[0];

    return !strchr(what, '/') && (strcmp(what, "broker") == 0 || manager_has_daemon(m, what));
}

static int run_load(const struct cmdline *c)
{
    CLEANUP(manager_deinit) struct manager m = { .rundir = NULL };

    if (manager_find(&m) < 0)
        return EXIT_FAILURE;
    return is_daemon(&m, c) ? load_daemon(c) : load_module(&m, c);
}

static int run_remove(const struct cmdline *c)
{
    CLEANUP(manager_deinit) struct manager m = { .rundir = NULL };
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *name;

    if (manager_find(&m) < 0)
        return EXIT_FAILURE;
    if (is_daemon(&m, c))
        return remove_daemon(c);
    return (name = name_of(&m, c->argv[0], &o)) ? remove_module(&m, c, name) : EXIT_FAILURE;
}

static int run_reload(const struct cmdline *c)
{
    CLEANUP(manager_deinit) struct manager m = { .rundir = NULL };

    if (manager_find(&m) < 0)
        return EXIT_FAILURE;
    return is_daemon(&m, c) ? reload_daemon(c) : reload_module(&m, c);
}

static int print_object(const json_t *o)
{
    (void)json_dumpf(o, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
    putchar('\n');
    return EXIT_SUCCESS;
}

/* A service that the router knows, else a file. */
static int run_info(const struct cmdline *c)
{
    const char *what = c->argv[0];
    CLEANUP(flux_closep) flux_t *h = strchr(what, '/') ? NULL : client_open();
    CLEANUP(manager_deinit) struct manager m = { .rundir = NULL };
    CLEANUP(json_decrefp) json_t *o = NULL;
    int rc = h ? find_service(h, what, &o) : strchr(what, '/') ? 0 : -1;

    if (rc < 0 || (rc == 0 && (manager_find(&m) < 0 || !(o = module_describe(&m, what)))))
        return EXIT_FAILURE;
    return print_object(o);
}

static int print_value(const struct cmdline *c, const json_t *v)
{
    const char *type = cmdline_string(c, "type", "");
    double scale = 1;

    if (number_parse_double(cmdline_string(c, "scale", "1"), &scale) < 0)
        return complain("--scale must be a number");
    if ((type[0] || cmdline_has(c, "scale")) && !json_is_number(v))
        return complain("'%s' is not a number", cmdline_string(c, "parse", ""));
    if (cmdline_has(c, "scale") && !type[0])
        type = json_is_integer(v) && scale == (double)(long long)scale ? "int" : "double";
    if (strcmp(type, "int") == 0)
        printf("%lld\n", (long long)(json_number_value(v) * scale));
    else if (strcmp(type, "double") == 0)
        printf("%f\n", json_number_value(v) * scale);
    else if (type[0])
        return complain("--type must be int or double, not '%s'", type);
    else {
        (void)json_dumpf(v, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
        putchar('\n');
    }
    return EXIT_SUCCESS;
}

static const char *service_of(const struct cmdline *c)
{
    return c->argc > 0 ? c->argv[0] : "broker";
}

static void count_answer(uint32_t rank, const json_t *answer, void *arg)
{
    size_t *count = arg;

    (*count)++;
}

/* On every rank where it is offered; it is enough if that is one. */
static int clear_all(flux_t *h, const char *name, const char *topic)
{
    CLEANUP(idset_destroyp) struct idset *all = ranks_parse(h, "all");
    size_t cleared = 0;
    const struct ranks_query q = { .h = h,
                                   .ranks = all,
                                   .topic = topic,
                                   .what = "clear the statistics",
                                   .skip_errnum = ENOSYS,
                                   .fn = count_answer,
                                   .arg = &cleared };
    int status;

    if (!all)
        return EXIT_FAILURE;
    status = ranks_ask(&q);
    if (status == EXIT_SUCCESS && cleared == 0)
        return complain("no rank has a service %s", name);
    return status;
}

static int clear_stats(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    uint32_t nodeid;
    char topic[128];

    if (cmdline_has(c, "rusage") || cmdline_has(c, "parse"))
        return complain("--clear prints nothing: leave out --rusage and --parse");
    snprintf(topic, sizeof(topic), "%s.stats-clear", service_of(c));
    if (refuse_both(c, "clear-all", "rank") < 0 || parse_nodeid(c, &nodeid) < 0 ||
        !(h = client_open()))
        return EXIT_FAILURE;
    if (cmdline_has(c, "clear-all"))
        return clear_all(h, service_of(c), topic);
    answer = client_call_rank(h, topic, nodeid, NULL, "clear the statistics");
    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_stats(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const char *path = cmdline_string(c, "parse", NULL);
    const json_t *v;
    uint32_t nodeid;
    char topic[128];

    if (cmdline_has(c, "clear") || cmdline_has(c, "clear-all"))
        return clear_stats(c);
    if (!path && (cmdline_has(c, "type") || cmdline_has(c, "scale")))
        return complain("--type and --scale convert one value: name it with --parse");
    snprintf(topic, sizeof(topic), "%s.%s", service_of(c),
             cmdline_has(c, "rusage") ? "rusage" : "stats-get");
    if (parse_nodeid(c, &nodeid) < 0 || !(h = client_open()) ||
        !(answer = client_call_rank(h, topic, nodeid, NULL, "get the statistics")))
        return EXIT_FAILURE;
    if (path) {
        if (!(v = jsonx_at(answer, path)))
            return complain("there is no '%s' in the statistics", path);
        return print_value(c, v);
    }
    (void)json_dumpf(answer, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
    putchar('\n');
    return EXIT_SUCCESS;
}

/* --- debug --- */

static int parse_mask(const char *s, uint32_t *ret)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(s, &end, 0);
    if (errno || end == s || *end || s[0] == '-' || n > UINT32_MAX)
        return complain("'%s' is not a mask of 32 bits: decimal, 0x for hexadecimal, 0 for octal",
                        s);
    *ret = (uint32_t)n;
    return EXIT_SUCCESS;
}

static int run_debug(const struct cmdline *c)
{
    static const struct {
        const char *option, *op;
    } ops[] = { { "set", "set" }, { "setbit", "setbit" }, { "clearbit", "clrbit" } };
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const char *op = cmdline_has(c, "clear") ? "clr" : "get";
    uint32_t mask = 0;
    char topic[128];

    if (c->nvalues > 1)
        return complain("--clear, --set, --clearbit and --setbit exclude each other");
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        if (!cmdline_has(c, ops[i].option))
            continue;
        op = ops[i].op;
        if (parse_mask(cmdline_string(c, ops[i].option, ""), &mask) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    snprintf(topic, sizeof(topic), "%s.debug", service_of(c));
    if (!(h = client_open()) ||
        !(answer =
              client_call(h, topic, json_pack("{s:s s:I}", "op", op, "flags", (json_int_t)mask),
                          "reach the debug flags")))
        return EXIT_FAILURE;
    printf("0x%" PRIx64 "\n", (uint64_t)json_integer_value(json_object_get(answer, "flags")));
    return EXIT_SUCCESS;
}

static const struct option debug_options[] = {
    { 'c', "clear", NULL, "Set all flags to zero" },
    { 'S', "set", "MASK", "Set the flags to MASK" },
    { 'C', "clearbit", "MASK", "Clear the bits of MASK, leave the others" },
    { 's', "setbit", "MASK", "Set the bits of MASK, leave the others" },
    { 0 },
};

static const struct option stats_options[] = {
    { 'p', "parse", "PATH", "Print the value at a period-delimited path" },
    { 't', "type", "TYPE", "Print it as int or double" },
    { 's', "scale", "N", "Multiply it by N" },
    { 'R', "rusage", NULL, "Resource usage (getrusage(2)) of the daemon" },
    { 'c', "clear", NULL, "Begin to count anew" },
    { 'C', "clear-all", NULL, "Begin to count anew on all ranks" },
    { 'r', "rank", "N", "Of that node (default: this one)" },
    { 0 },
};

static const struct option list_options[] = {
    { 'r', "rank", "N", "Of that node (default: this one)" },
    { 0, "json", NULL, "Print JSON" },
    { 0 },
};
static const struct option remove_options[] = {
    { 'f', "force", NULL, "Do not mind if it does not run" },
    { 0 },
};

const struct command cmd_module[] = {
    { "module debug", "[SERVICE]", "Show or set the debug flags of a service", debug_options, 0, 1,
      0, run_debug },
    { "module info", "SERVICE|PATH", "Print what is known of a service or of a module's file", NULL,
      1, 1, 0, run_info },
    { "module list", "[SERVICE]", "List the services of this node", list_options, 0, 1, 0,
      run_list },
    { "module load", "NAME|PATH [ARGS...]", "Start a module, or the daemon of a service", NULL, 1,
      -1, COMMAND_STOP_AT_ARGUMENT, run_load },
    { "module reload", "NAME|PATH [ARGS...]", "End a module or daemon and start it again",
      remove_options, 1, -1, COMMAND_STOP_AT_ARGUMENT, run_reload },
    { "module remove", "NAME|PATH", "End a module or daemon", remove_options, 1, 1, 0, run_remove },
    { "module stats", "[SERVICE]", "Print the counters of a service", stats_options, 0, 1, 0,
      run_stats },
    { 0 },
};
