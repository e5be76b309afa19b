/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl kvs version, wait, getroot, dropcache, namespace ...: what concerns the store or a
 * namespace as a whole. */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "families.h"
#include "kvs-common.h"
#include "plain-text.h"

static int run_version(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    int version;

    if (!h)
        return EXIT_FAILURE;
    if (flux_kvs_get_version(h, kvs_option_namespace(c), &version) < 0)
        return kvs_complain(NULL, "--namespace", kvs_option_namespace(c), "cannot get the version");
    printf("%d\n", version);
    return EXIT_SUCCESS;
}

static int run_wait(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int version;

    if (parse_count(c->argv[0], "the version", 0, &version) < 0 || !(h = client_open()))
        return EXIT_FAILURE;
    if (flux_kvs_wait_version(h, kvs_option_namespace(c), version) < 0)
        return kvs_complain(NULL, "--namespace", kvs_option_namespace(c), "cannot wait for it");
    return EXIT_SUCCESS;
}

static int run_getroot(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const char *treeobj = NULL, *ref = NULL;
    uint32_t owner = 0;
    int seq = 0;

    if (refuse_both(c, "sequence", "owner") < 0 || refuse_both(c, "sequence", "blobref") < 0 ||
        refuse_both(c, "owner", "blobref") < 0 || !(h = client_open()))
        return EXIT_FAILURE;
    if (!(f = flux_kvs_getroot(h, kvs_option_namespace(c), 0)) ||
        flux_kvs_getroot_get_treeobj(f, &treeobj) < 0 ||
        flux_kvs_getroot_get_blobref(f, &ref) < 0 || flux_kvs_getroot_get_owner(f, &owner) < 0 ||
        flux_kvs_getroot_get_sequence(f, &seq) < 0)
        return kvs_complain(f, "--namespace", kvs_option_namespace(c), "cannot get the root");
    if (cmdline_has(c, "owner"))
        printf("%u\n", owner);
    else if (cmdline_has(c, "sequence"))
        printf("%d\n", seq);
    else
        puts(cmdline_has(c, "blobref") ? ref : treeobj);
    return EXIT_SUCCESS;
}

static int run_dropcache(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();

    if (!h)
        return EXIT_FAILURE;
    /* Here first, also for all: that says who may not. An event is for whoever believes it. */
    if (flux_kvs_dropcache(h) < 0)
        return complain("cannot drop the cache: %s",
                        errno == EPERM ? "only the owner of the instance may" : strerror(errno));
    if (cmdline_has(c, "all")) {
        CLEANUP(flux_future_destroyp)
        flux_future_t *f = flux_event_publish(h, "kvs.dropcache", 0, NULL);

        if (!f || flux_future_get(f, NULL) < 0)
            return complain_future(f, "cannot drop the caches");
    }
    return EXIT_SUCCESS;
}

static int run_namespace_create(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    const char *user = cmdline_string(c, "owner", NULL);
    uint32_t owner = FLUX_USERID_UNKNOWN;
    int status = EXIT_SUCCESS;

    if ((user && parse_user(user, &owner) < 0) || !(h = client_open()))
        return EXIT_FAILURE;
    for (int i = 0; i < c->argc; i++) {
        CLEANUP(flux_future_destroyp)
        flux_future_t *f = flux_kvs_namespace_create_with(
            h, c->argv[i], cmdline_string(c, "rootref", NULL), owner, 0);

        if (!f || flux_future_get(f, NULL) < 0)
            status = complain_future(f, "cannot create namespace '%s'", c->argv[i]);
    }
    return status;
}

static int run_namespace_remove(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    int status = EXIT_SUCCESS;

    if (!h)
        return EXIT_FAILURE;
    for (int i = 0; i < c->argc; i++) {
        CLEANUP(flux_future_destroyp) flux_future_t *f = flux_kvs_namespace_remove(h, c->argv[i]);

        if (!f || flux_future_get(f, NULL) < 0)
            status = complain_future(f, "cannot remove namespace '%s'", c->argv[i]);
    }
    return status;
}

static int run_namespace_list(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "kvs.namespace-list", NULL, "list the namespaces") : NULL;
    size_t i;
    json_t *o;

    if (!answer)
        return EXIT_FAILURE;
    if (cmdline_has(c, "json")) {
        (void)json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
        return EXIT_SUCCESS;
    }
    printf("%-36s %10s %10s\n", "NAMESPACE", "OWNER", "FLAGS");
    json_array_foreach (json_object_get(answer, "namespaces"), i, o) {
        const char *ns = json_string_value(json_object_get(o, "namespace"));

        plain_puts(stdout, ns ? ns : "?");
        printf("%*s %10" JSON_INTEGER_FORMAT " 0x%08x\n",
               ns && strlen(ns) < 36 ? 36 - (int)strlen(ns) : 0, "",
               json_integer_value(json_object_get(o, "owner")),
               (unsigned)json_integer_value(json_object_get(o, "flags")));
    }
    return EXIT_SUCCESS;
}

static const struct option namespace_options[] = { KVS_NAMESPACE_OPTION, { 0 } };
static const struct option getroot_options[] = {
    KVS_NAMESPACE_OPTION,
    { 's', "sequence", NULL, "Print the sequence" },
    { 'o', "owner", NULL, "Print the owner of the namespace" },
    { 'b', "blobref", NULL, "Print the blobref of the root" },
    { 0 },
};
static const struct option dropcache_options[] = {
    { 'a', "all", NULL, "On all ranks" },
    { 0 },
};
static const struct option create_options[] = {
    { 'o', "owner", "USER", "Who may use the namespace (default: the instance owner)" },
    { 'r', "rootref", "BLOBREF", "What it contains in the beginning (default: nothing)" },
    { 0 },
};
static const struct option list_options[] = { { 0, "json", NULL, "Print JSON" }, { 0 } };

const struct command cmd_kvs_namespace[] = {
    { "kvs version", NULL, "Print the sequence of the root", namespace_options, 0, 0, 0,
      run_version },
    { "kvs wait", "VERSION", "Wait until the root has reached a sequence", namespace_options, 1, 1,
      0, run_wait },
    { "kvs getroot", NULL, "Print the root", getroot_options, 0, 0, 0, run_getroot },
    { "kvs dropcache", NULL, "Drop what the store has cached", dropcache_options, 0, 0, 0,
      run_dropcache },
    { "kvs namespace create", "NAME...", "Create namespaces", create_options, 1, -1, 0,
      run_namespace_create },
    { "kvs namespace remove", "NAME...", "Remove namespaces", NULL, 1, -1, 0,
      run_namespace_remove },
    { "kvs namespace list", NULL, "List namespaces", list_options, 0, 0, 0, run_namespace_list },
    { 0 },
};
