/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl kvs get: values are printed one after the other; watched keys as they change, all at the
 * same time. */
#include <string.h>

#include "client.h"
#include "families.h"
#include "kvs-common.h"
#include "kvs-value.h"

#define LINKS_MAX 10 /* that lookups follow */

static int complain_key(flux_future_t *f, const struct cmdline *c, const char *key)
{
    return kvs_complain(f, "--namespace", kvs_option_namespace(c), key);
}

static void print_label(const struct cmdline *c, const char *key)
{
    if (cmdline_has(c, "label"))
        printf("%s=", key);
}

static int print_value(const struct cmdline *c, const char *key, flux_future_t *f)
{
    const char *s = NULL;
    const void *data = NULL;
    int len = 0;

    if (cmdline_has(c, "treeobj")) {
        if (flux_kvs_lookup_get_treeobj(f, &s) < 0)
            return -1;
        len = (int)strlen(s);
        data = s;
    } else if (flux_kvs_lookup_get_raw(f, &data, &len) < 0) {
        return -1;
    }
    print_label(c, key);
    fwrite(data, 1, (size_t)len, stdout);
    if (len > 0 && !cmdline_has(c, "raw"))
        putchar('\n');
    output_flush();
    return 0;
}

static int lookup_flags(const struct cmdline *c)
{
    int flags = 0;

    if (cmdline_has(c, "treeobj"))
        flags |= FLUX_KVS_TREEOBJ;
    if (cmdline_has(c, "waitcreate"))
        flags |= FLUX_KVS_WAITCREATE;
    if (cmdline_has(c, "watch"))
        flags |= FLUX_KVS_WATCH;
    if (cmdline_has(c, "uniq"))
        flags |= FLUX_KVS_WATCH | FLUX_KVS_WATCH_UNIQ;
    if (cmdline_has(c, "append"))
        flags |= FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND;
    if (cmdline_has(c, "full"))
        flags |= FLUX_KVS_WATCH | FLUX_KVS_WATCH_FULL;
    return flags;
}

struct get {
    char *at; /* snapshot, or NULL */
    int flags;
    int count; /* of values to print when watching; 0: no end */
};

static flux_future_t *look_up(flux_t *h, const struct cmdline *c, const struct get *g, int flags,
                              const char *key)
{
    return g->at ? flux_kvs_lookupat(h, flags, key, g->at)
                 : flux_kvs_lookup(h, kvs_option_namespace(c), flags, key);
}

/* The tree object that f has found, or what it leads to if that is a link. Consumes f. */
static flux_future_t *follow_link(flux_t *h, const char *ns, flux_future_t *f, int followed)
{
    CLEANUP(flux_future_destroyp) flux_future_t *link = f;
    const char *to, *target;

    if (!f || followed == LINKS_MAX || flux_kvs_lookup_get_symlink(f, &to, &target) < 0)
        return TAKE(link);
    ns = to ? to : ns;
    return follow_link(h, ns, flux_kvs_lookup(h, ns, FLUX_KVS_TREEOBJ, target), followed + 1);
}

/* A value that is stored in pieces is printed piece by piece, a short one as it came. *ret_status:
 * whether that went well. False: it is neither. */
static bool print_stored(flux_t *h, const struct cmdline *c, const struct get *g, const char *key,
                         int *ret_status)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = look_up(h, c, g, g->flags | FLUX_KVS_TREEOBJ, key);
    const char *treeobj;
    size_t size;

    if (!g->at) /* the links of a snapshot stay in it */
        f = follow_link(h, kvs_option_namespace(c), f, 0);
    if (!f || flux_kvs_lookup_get_treeobj(f, &treeobj) < 0)
        return false;
    if (print_value(c, key, f) == 0) {
        *ret_status = EXIT_SUCCESS;
        return true;
    }
    if (!kvs_value_is_long(h, treeobj))
        return false;
    print_label(c, key);
    *ret_status = kvs_value_print(h, treeobj, &size);
    if (*ret_status == EXIT_SUCCESS && size > 0 && !cmdline_has(c, "raw"))
        putchar('\n');
    output_flush();
    return true;
}

/* Not a watch. */
static int get_one(flux_t *h, const struct cmdline *c, const struct get *g, const char *key)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    int status;

    if (!(g->flags & FLUX_KVS_TREEOBJ) && print_stored(h, c, g, key, &status))
        return status;
    f = look_up(h, c, g, g->flags, key);
    return f && print_value(c, key, f) == 0 ? EXIT_SUCCESS : complain_key(f, c, key);
}

/* --- watches --- */

struct watch {
    const struct cmdline *c;
    const struct get *g;
    const char *key;
    flux_future_t *f; /* NULL: it has ended */
    int printed;
    int status;
};

static void watch_end(struct watch *w, int status)
{
    w->status = status;
    flux_future_destroy(TAKE(w->f));
}

static void on_value(flux_future_t *f, void *arg)
{
    struct watch *w = arg;

    if (print_value(w->c, w->key, f) < 0)
        watch_end(w, errno == ENODATA ? EXIT_SUCCESS : complain_key(f, w->c, w->key));
    else if (++w->printed == w->g->count)
        watch_end(w, EXIT_SUCCESS);
    else
        flux_future_reset(f);
}

/* All keys at the same time; each has a count of its own. */
static int watch_all(flux_t *h, const struct cmdline *c, const struct get *g)
{
    CLEANUP(freep) struct watch *watches = calloc((size_t)c->argc, sizeof(*watches));
    int status = EXIT_SUCCESS;

    if (!watches)
        return complain("out of memory");
    for (int i = 0; i < c->argc; i++) {
        struct watch *w = &watches[i];

        *w = (struct watch){ .c = c, .g = g, .key = c->argv[i] };
        w->f = look_up(h, c, g, g->flags, w->key);
        if (!w->f || flux_future_then(w->f, -1., on_value, w) < 0)
            watch_end(w, complain_key(NULL, c, w->key));
    }
    if (flux_reactor_run(flux_get_reactor(h), 0) < 0)
        status = complain("%s", strerror(errno));
    for (int i = 0; i < c->argc; i++) {
        if (watches[i].f) /* the connection was lost */
            watch_end(&watches[i], EXIT_FAILURE);
        status |= watches[i].status;
    }
    return status;
}

static int run_get(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    struct get g = { .flags = lookup_flags(c) };
    int status;
    CLEANUP(freep) char *at = g.at = kvs_option_at(c, &status);

    if (status != EXIT_SUCCESS || refuse_both(c, "raw", "treeobj") < 0 ||
        refuse_both(c, "append", "treeobj") < 0)
        return EXIT_FAILURE;
    if (at && (g.flags & (FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE)))
        return complain("a snapshot (--at) never changes: there is nothing to wait for");
    if (parse_count(cmdline_string(c, "count", "0"), "--count", 0, &g.count) < 0 ||
        !(h = client_open()))
        return EXIT_FAILURE;
    if (g.flags & FLUX_KVS_WATCH)
        return watch_all(h, c, &g);
    for (int i = 0; i < c->argc; i++)
        status |= get_one(h, c, &g, c->argv[i]);
    return status;
}

static const struct option get_options[] = {
    KVS_NAMESPACE_OPTION,
    { 'r', "raw", NULL, "No newline after the value" },
    { 't', "treeobj", NULL, "Print the tree object (RFC 11)" },
    { 'a', "at", "SNAPSHOT", "Look up below a snapshot: a tree object or blobref" },
    { 'l', "label", NULL, "Print KEY= before the value" },
    { 'W', "waitcreate", NULL, "Wait until the key exists" },
    { 'w', "watch", NULL, "Print the value each time it is written" },
    { 'u', "uniq", NULL, "Watch, but print changes only" },
    { 'A', "append", NULL, "Watch, and print what is appended" },
    { 'f', "full", NULL, "Watch, and notice changes of directories above the key" },
    { 'c', "count", "N", "Stop watching after N values" },
    { 0 },
};
const struct command cmd_kvs_get[] = {
    { "kvs get", "KEY...", "Print values", get_options, 1, -1, 0, run_get },
    { 0 },
};
