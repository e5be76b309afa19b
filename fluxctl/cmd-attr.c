/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl getattr, setattr, lsattr: the attributes of the router of this node. */
#include <string.h>

#include "api/attr_cache.h"
#include "client.h"
#include "families.h"

static int run_getattr(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    const char *value;

    if (!h)
        return EXIT_FAILURE;
    if (!(value = flux_attr_get(h, c->argv[0])))
        return complain("cannot get attribute '%s': %s", c->argv[0],
                        errno == ENOENT ? "there is none of that name" : strerror(errno));
    puts(value);
    return EXIT_SUCCESS;
}

static int run_setattr(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    bool expunge = cmdline_has(c, "expunge");

    if (!expunge && c->argc < 2)
        return complain("a value is missing; --expunge removes the attribute");
    if (!(h = client_open()))
        return EXIT_FAILURE;
    if (expunge)
        answer = client_call(h, "attr.rm", json_pack("{s:s}", "name", c->argv[0]),
                             "remove the attribute");
    else
        answer = client_call(h, attr_is_content(c->argv[0]) ? "content.attr-set" : "attr.set",
                             json_pack("{s:s s:s}", "name", c->argv[0], "value", c->argv[1]),
                             "set the attribute");
    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* {NAME: VALUE} */
static void print_json(flux_t *h, const char **names, size_t n)
{
    CLEANUP(json_decrefp) json_t *o = json_object();

    for (size_t i = 0; i < n; i++) {
        const char *value = flux_attr_get(h, names[i]);

        (void)json_object_set_new(o, names[i], value ? json_string(value) : json_null());
    }
    (void)json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
}

/* Those of the content store, if it answers; a name that the router has too only once. */
static void add_content(flux_t *h, json_t *list)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc(h, "content.attr-list", NULL, FLUX_NODEID_ANY, 0);
    json_t *names, *name, *old;
    size_t i, k;

    if (!f || flux_rpc_get_unpack(f, "{s:o}", "names", &names) < 0)
        return;
    json_array_foreach (names, i, name) {
        json_array_foreach (list, k, old) {
            if (json_equal(old, name))
                break;
        }
        if (k == json_array_size(list))
            (void)json_array_append(list, name);
    }
}

static int run_lsattr(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "attr.list", NULL, "list the attributes") : NULL;
    json_t *list = json_object_get(answer, "names");
    CLEANUP(freep) const char **names = NULL;
    size_t n;

    if (answer)
        add_content(h, list);
    n = json_array_size(list);
    names = calloc(n + 1, sizeof(*names));
    if (!answer || !names)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++)
        names[i] = json_string_value(json_array_get(list, i));
    qsort(names, n, sizeof(*names), by_name);
    if (cmdline_has(c, "json")) {
        print_json(h, names, n);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < n; i++) {
        const char *value = cmdline_has(c, "values") ? flux_attr_get(h, names[i]) : NULL;

        if (cmdline_has(c, "values"))
            printf("%-40s%s\n", names[i], value ? value : "-");
        else
            puts(names[i]);
    }
    return EXIT_SUCCESS;
}

static const struct option setattr_options[] = {
    { 'e', "expunge", NULL, "Remove the attribute" },
    { 0 },
};
static const struct option lsattr_options[] = {
    { 'v', "values", NULL, "Show the values too" },
    { 0, "json", NULL, "Print names and values as JSON" },
    { 0 },
};

const struct command cmd_attr[] = {
    { "getattr", "NAME", "Print an attribute of the router", NULL, 1, 1, COMMAND_TEXT,
      run_getattr },
    { "setattr", "NAME [VALUE]", "Set or remove an attribute", setattr_options, 1, 2, COMMAND_TEXT,
      run_setattr },
    { "lsattr", NULL, "List attributes", lsattr_options, 0, 0, 0, run_lsattr },
    { 0 },
};
