/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl module: the services of this node. A module, in the words of the manual, is a service
 * here: a daemon of its own. To load one is to call its socket, which starts it; to remove one is
 * to ask it to end, and the next request to it starts it again. Refuses arguments, files, and to
 * end the router. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "client.h"
#include "families.h"

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

    printf("%-24s %-10s ", name ? name : "?", state ? state : "?");
    if (pid)
        printf("%8" JSON_INTEGER_FORMAT " ", json_integer_value(pid));
    else
        printf("%8s ", "-");
    if (uid)
        printf("%8" JSON_INTEGER_FORMAT " ", json_integer_value(uid));
    else
        printf("%8s ", "-");
    printf("%10" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(o, "messages")));
}

static int run_list(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "broker.service-list", NULL, "list the services") : NULL;
    json_t *list = json_object_get(answer, "services");
    size_t n = json_array_size(list);
    CLEANUP(freep) json_t **services = calloc(n + 1, sizeof(*services));

    if (!answer || !services)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++)
        services[i] = json_array_get(list, i);
    if (cmdline_has(c, "json")) {
        (void)json_dumpf(list, stdout, JSON_COMPACT);
        putchar('\n');
        return EXIT_SUCCESS;
    }
    qsort(services, n, sizeof(*services), by_name);
    printf("%-24s %-10s %8s %8s %10s\n", "SERVICE", "STATE", "PID", "UID", "MESSAGES");
    for (size_t i = 0; i < n; i++)
        print_service(services[i]);
    return EXIT_SUCCESS;
}

/* --- load, remove, reload --- */

#define END_POLL_USEC 10000
#define END_POLLS     1000

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
        complain("%s is part of the router, not a module; `fluxctl shutdown` ends the instance",
                 name);
        return -1;
    }
    return state && strcmp(state, "idle") != 0;
}

static int start_service(flux_t *h, const char *name)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    char topic[128];

    snprintf(topic, sizeof(topic), "%s.ping", name);
    f = flux_rpc(h, topic, "{}", FLUX_NODEID_ANY, 0);
    if (f && flux_rpc_get(f, NULL) == 0)
        return EXIT_SUCCESS;
    if (errno == ENOSYS)
        return complain("there is no socket for a service '%s' on this node; install its daemon "
                        "and start flux-%s.socket",
                        name, name);
    return complain_future(f, "cannot start %s", name);
}

/* Ask it to end, and wait until it has. */
static int end_service(flux_t *h, const char *name)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    char topic[128];
    int rc = 1;

    snprintf(topic, sizeof(topic), "%s.shutdown", name);
    f = flux_rpc(h, topic, "{}", FLUX_NODEID_ANY, 0);
    if (!f || (flux_rpc_get(f, NULL) < 0 && errno != ECONNRESET))
        return complain_future(f, "cannot end %s", name);
    for (int i = 0; i < END_POLLS && (rc = is_running(h, name)) > 0; i++)
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

static int check_name(const struct cmdline *c)
{
    if (strchr(c->argv[0], '/'))
        return complain("'%s' is a file; modules are daemons here, installed with a socket unit",
                        c->argv[0]);
    if (c->argc > 1)
        return complain("modules take no arguments here; set them in the configuration of "
                        "the instance, see flux-config(5)");
    return EXIT_SUCCESS;
}

static int run_load(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int running;

    if (check_name(c) != EXIT_SUCCESS || !(h = client_open()) ||
        (running = is_running(h, c->argv[0])) < 0)
        return EXIT_FAILURE;
    if (running)
        return complain("%s runs already", c->argv[0]);
    return start_service(h, c->argv[0]);
}

static int run_remove(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int rc;

    if (check_name(c) != EXIT_SUCCESS || !(h = client_open()) || (rc = check_removal(h, c)) < 0)
        return EXIT_FAILURE;
    return rc > 0 ? end_service(h, c->argv[0]) : EXIT_SUCCESS;
}

static int run_reload(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int rc;

    if (check_name(c) != EXIT_SUCCESS || !(h = client_open()) || (rc = check_removal(h, c)) < 0 ||
        (rc > 0 && end_service(h, c->argv[0]) != EXIT_SUCCESS))
        return EXIT_FAILURE;
    return start_service(h, c->argv[0]);
}

static int run_info(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *o = NULL;
    int rc = h ? find_service(h, c->argv[0], &o) : -1;

    if (rc <= 0)
        return rc < 0 ? EXIT_FAILURE : complain("there is no service '%s'", c->argv[0]);
    (void)json_dumpf(o, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
    putchar('\n');
    return EXIT_SUCCESS;
}

/* o at a period-delimited path. */
static const json_t *walk(const json_t *o, const char *path)
{
    while (o && *path) {
        size_t len = strcspn(path, ".");
        char key[64];

        snprintf(key, sizeof(key), "%.*s", (int)len, path);
        o = json_is_array(o) ? json_array_get(o, strtoul(key, NULL, 10)) : json_object_get(o, key);
        path += len + (path[len] == '.');
    }
    return o;
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

/* On every rank where it runs; it is enough if it runs on one. */
static int clear_all(flux_t *h, const char *name, const char *topic)
{
    uint32_t size, cleared = 0;

    if (flux_get_size(h, &size) < 0)
        return complain("cannot get the size of the instance: %s", strerror(errno));
    for (uint32_t rank = 0; rank < size; rank++) {
        CLEANUP(flux_future_destroyp) flux_future_t *f = flux_rpc(h, topic, NULL, rank, 0);

        if (f && flux_rpc_get(f, NULL) == 0)
            cleared++;
        else if (errno != ENOSYS || (rank + 1 == size && cleared == 0))
            return complain_future(f, "cannot clear the statistics of %s on rank %u", name, rank);
    }
    return EXIT_SUCCESS;
}

static int clear_stats(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    char topic[128];

    if (cmdline_has(c, "rusage") || cmdline_has(c, "parse"))
        return complain("--clear prints nothing: leave out --rusage and --parse");
    snprintf(topic, sizeof(topic), "%s.stats-clear", service_of(c));
    if (!(h = client_open()))
        return EXIT_FAILURE;
    if (cmdline_has(c, "clear-all"))
        return clear_all(h, service_of(c), topic);
    answer = client_call(h, topic, NULL, "clear the statistics");
    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_stats(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const char *path = cmdline_string(c, "parse", NULL);
    const json_t *v;
    char topic[128];

    if (cmdline_has(c, "clear") || cmdline_has(c, "clear-all"))
        return clear_stats(c);
    if (!path && (cmdline_has(c, "type") || cmdline_has(c, "scale")))
        return complain("--type and --scale convert one value: name it with --parse");
    snprintf(topic, sizeof(topic), "%s.%s", service_of(c),
             cmdline_has(c, "rusage") ? "rusage" : "stats-get");
    if (!(h = client_open()) || !(answer = client_call(h, topic, NULL, "get the statistics")))
        return EXIT_FAILURE;
    if (path) {
        if (!(v = walk(answer, path)))
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
    { 0 },
};

static const struct option list_options[] = {
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
    { "module info", "SERVICE", "Print what the router knows of a service", NULL, 1, 1, 0,
      run_info },
    { "module list", NULL, "List the services of this node", list_options, 0, 0, 0, run_list },
    { "module load", "SERVICE", "Start the daemon of a service", NULL, 1, -1, 0, run_load },
    { "module reload", "SERVICE", "End the daemon of a service and start it again", remove_options,
      1, -1, 0, run_reload },
    { "module remove", "SERVICE", "End the daemon of a service", remove_options, 1, 1, 0,
      run_remove },
    { "module stats", "[SERVICE]", "Print the counters of a service", stats_options, 0, 1, 0,
      run_stats },
    { 0 },
};
