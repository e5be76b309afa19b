/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl module list, stats: the services of this node. (A module, in the words of the manual, is
 * a service here: a daemon of its own.) */
#include <string.h>

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
    qsort(services, n, sizeof(*services), by_name);
    printf("%-24s %-10s %8s %8s %10s\n", "SERVICE", "STATE", "PID", "UID", "MESSAGES");
    for (size_t i = 0; i < n; i++)
        print_service(services[i]);
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

static int run_stats(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const char *path = cmdline_string(c, "parse", NULL);
    const json_t *v;
    char topic[128];

    snprintf(topic, sizeof(topic), "%s.%s", c->argc > 0 ? c->argv[0] : "broker",
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

static const struct option stats_options[] = {
    { 'p', "parse", "PATH", "Print the value at a period-delimited path" },
    { 't', "type", "TYPE", "Print it as int or double" },
    { 's', "scale", "N", "Multiply it by N" },
    { 'R', "rusage", NULL, "Resource usage (getrusage(2)) of the daemon" },
    { 0 },
};

const struct command cmd_module[] = {
    { "module list", NULL, "List the services of this node", NULL, 0, 0, 0, run_list },
    { "module stats", "[SERVICE]", "Print the counters of a service", stats_options, 0, 1, 0,
      run_stats },
    { 0 },
};
