/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl kvs ...: single keys, which cmd-kvs-get.c reads. Directories are listed in
 * cmd-kvs-list.c; cmd-kvs-eventlog.c has eventlogs, cmd-kvs-namespace.c the store as a whole. */
#include <string.h>

#include "api/treeobj.h"
#include "blob-window.h"
#include "client.h"
#include "families.h"
#include "kvs-common.h"
#include "kvs-value.h"

DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

static int complain_key(flux_future_t *f, const struct cmdline *c, const char *key)
{
    return kvs_complain(f, "--namespace", kvs_option_namespace(c), key);
}

static int refuse_print(const struct cmdline *c)
{
    return refuse_both(c, "treeobj-root", "sequence") < 0 ||
                   refuse_both(c, "treeobj-root", "blobref") < 0 ||
                   refuse_both(c, "sequence", "blobref") < 0
               ? -1
               : 0;
}

static int print_root(const struct cmdline *c, flux_future_t *f)
{
    const char *text = NULL;
    int seq;

    if (cmdline_has(c, "sequence")) {
        if (flux_kvs_commit_get_sequence(f, &seq) < 0)
            return complain_future(f, "cannot tell the sequence");
        printf("%d\n", seq);
    } else if (cmdline_has(c, "treeobj-root") || cmdline_has(c, "blobref")) {
        if ((cmdline_has(c, "blobref") ? flux_kvs_commit_get_rootref(f, &text)
                                       : flux_kvs_commit_get_treeobj(f, &text)) < 0)
            return complain_future(f, "cannot tell the root");
        puts(text);
    }
    return EXIT_SUCCESS;
}

/* The namespace of a commit, and the option that chooses it. */
struct where {
    const char *option, *ns;
};

static struct where where_of(const struct cmdline *c)
{
    return (struct where){ "--namespace", kvs_option_namespace(c) };
}

/* Commit, then print what -O, -b or -s ask for. Consumes nothing. */
static int commit(flux_t *h, const struct cmdline *c, struct where to, int flags,
                  flux_kvs_txn_t *txn)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (refuse_print(c) < 0)
        return EXIT_FAILURE;
    if (!(f = flux_kvs_commit(h, to.ns, flags, txn)) || flux_future_get(f, NULL) < 0)
        return kvs_complain(f, to.option, to.ns, "cannot commit");
    return print_root(c, f);
}

/* --- put --- */

/* All of standard input as text; malloc'd. NULL after complaining. */
static char *read_text(void)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    char buf[65536];
    ssize_t n;

    while (f && (n = blob_read_stdin(buf, sizeof(buf))) > 0)
        fwrite(buf, 1, (size_t)n, f);
    if (f && fclose(f) == 0 && n == 0)
        return text;
    if (!f || n >= 0)
        complain("out of memory");
    free(text);
    return NULL;
}

/* EXIT_SUCCESS, or EXIT_FAILURE after complaining. *h is opened at need. */
static int put_value(flux_t **h, const struct cmdline *c, flux_kvs_txn_t *txn, const char *key,
                     const char *value)
{
    const bool treeobj = cmdline_has(c, "treeobj");
    const bool input = (cmdline_has(c, "raw") || treeobj) && strcmp(value, "-") == 0;
    const int flags = cmdline_has(c, "append") ? FLUX_KVS_APPEND : 0;
    CLEANUP(freep) char *text = NULL;

    if (input && !treeobj)
        return *h || (*h = client_open()) ? kvs_value_from_stdin(*h, txn, flags, key)
                                          : EXIT_FAILURE;
    if (input && !(text = read_text()))
        return EXIT_FAILURE;
    if ((treeobj ? flux_kvs_txn_put_treeobj(txn, flags, key, text ? text : value)
                 : flux_kvs_txn_put(txn, flags, key, value)) == 0)
        return EXIT_SUCCESS;
    return treeobj && errno == EINVAL && *key
               ? complain("%s: the value is not a tree object (RFC 11)", key)
               : kvs_complain_key(key);
}

static int run_put(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    const int flags = (cmdline_has(c, "no-merge") ? FLUX_KVS_NO_MERGE : 0) |
                      (cmdline_has(c, "sync") ? FLUX_KVS_SYNC : 0);

    if (!txn)
        return complain("out of memory");
    if (refuse_both(c, "raw", "treeobj") < 0 || refuse_both(c, "append", "treeobj") < 0 ||
        refuse_print(c) < 0)
        return EXIT_FAILURE;
    for (int i = 0; i < c->argc; i++) {
        CLEANUP(freep) char *key = strdup(c->argv[i]);
        char *equals = key ? strchr(key, '=') : NULL;

        if (!equals || equals == key)
            return complain("'%s' is not of the form KEY=VALUE", c->argv[i]);
        *equals = '\0';
        if (put_value(&h, c, txn, key, equals + 1) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    if (!h && !(h = client_open()))
        return EXIT_FAILURE;
    return commit(h, c, where_of(c), flags, txn);
}

/* --- unlink, mkdir, link --- */

static bool is_symlink(flux_t *h, const struct cmdline *c, const char *key)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(h, kvs_option_namespace(c), FLUX_KVS_READLINK, key);
    const char *ns, *target;

    return f && flux_kvs_lookup_get_symlink(f, &ns, &target) == 0;
}

/* 0 if the key may be removed: it is there, and is no directory with content unless -R. Of a link
 * the link is removed, wherever it points. */
static int check_unlink(flux_t *h, const struct cmdline *c, const char *key)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(h, kvs_option_namespace(c), FLUX_KVS_READDIR, key);
    const flux_kvsdir_t *dir;

    if (is_symlink(h, c, key))
        return 0;
    if (f && flux_kvs_lookup_get_dir(f, &dir) == 0) {
        if (cmdline_has(c, "recursive") || flux_kvsdir_get_size(dir) == 0)
            return 0;
        complain("%s: directory is not empty; --recursive removes it", key);
        return -1;
    }
    if (errno == ENOTDIR || (errno == ENOENT && cmdline_has(c, "force")))
        return 0;
    complain_key(f, c, key);
    return -1;
}

static int run_unlink(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();

    if (!txn || !(h = client_open()))
        return EXIT_FAILURE;
    for (int i = 0; i < c->argc; i++) {
        if (flux_kvs_txn_unlink(txn, 0, c->argv[i]) < 0)
            return kvs_complain_key(c->argv[i]);
        if (check_unlink(h, c, c->argv[i]) < 0)
            return EXIT_FAILURE;
    }
    return commit(h, c, where_of(c), 0, txn);
}

static int run_mkdir(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();

    if (!txn)
        return complain("out of memory");
    for (int i = 0; i < c->argc; i++) {
        if (flux_kvs_txn_mkdir(txn, 0, c->argv[i]) < 0)
            return kvs_complain_key(c->argv[i]);
    }
    if (!(h = client_open()))
        return EXIT_FAILURE;
    return commit(h, c, where_of(c), 0, txn);
}

static int run_link(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();

    if (!*c->argv[0])
        return complain("the target of a link cannot be empty");
    if (!txn || flux_kvs_txn_symlink(txn, 0, c->argv[1],
                                     cmdline_string(c, "target-namespace", NULL), c->argv[0]) < 0)
        return kvs_complain_key(c->argv[1]);
    if (!(h = client_open()))
        return EXIT_FAILURE;
    return commit(h, c, where_of(c), 0, txn);
}

static int readlink_one(flux_t *h, const struct cmdline *c, const char *at, const char *key)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = at ? flux_kvs_lookupat(h, FLUX_KVS_READLINK, key, at)
                          : flux_kvs_lookup(h, kvs_option_namespace(c), FLUX_KVS_READLINK, key);
    const char *ns, *target;

    if (!f || flux_kvs_lookup_get_symlink(f, &ns, &target) < 0)
        return errno == EINVAL ? complain("%s: not a symbolic link", key) : complain_key(f, c, key);
    if (cmdline_has(c, "namespace-only")) {
        if (ns)
            puts(ns);
    } else if (cmdline_has(c, "key-only") || !ns) {
        puts(target);
    } else {
        printf("%s::%s\n", ns, target);
    }
    return EXIT_SUCCESS;
}

static int run_readlink(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int status;
    CLEANUP(freep) char *at = kvs_option_at(c, &status);

    if (status != EXIT_SUCCESS || refuse_both(c, "namespace-only", "key-only") < 0 ||
        !(h = client_open()))
        return EXIT_FAILURE;
    for (int i = 0; i < c->argc; i++)
        status |= readlink_one(h, c, at, c->argv[i]);
    return status;
}

/* --- copy, move --- */

/* The namespace of a key of copy or move. */
static const char *namespace_of(const struct cmdline *c, const char *option)
{
    const char *ns = cmdline_string(c, option, getenv("FLUX_KVS_NAMESPACE"));

    return ns && *ns ? ns : "primary";
}

static bool is_same_namespace(const struct cmdline *c)
{
    return strcmp(namespace_of(c, "src-namespace"), namespace_of(c, "dst-namespace")) == 0;
}

/* The next name of a key, and its length; 0 at the end. Periods may be many. */
static size_t next_name(const char **key)
{
    *key += strspn(*key, ".");
    return strcspn(*key, ".");
}

/* Is b the key a, or below it? */
static bool contains(const char *a, const char *b)
{
    size_t len;

    while ((len = next_name(&a)) > 0) {
        if (next_name(&b) != len || memcmp(a, b, len) != 0)
            return false;
        a += len;
        b += len;
    }
    return true;
}

/* A tree object is put under the new key: nothing below it is read. Within a namespace a move is
 * one commit; between two it is a copy, then the removal. */
static int copy(flux_t *h, const struct cmdline *c, bool unlink)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    const char *source = cmdline_string(c, "src-namespace", NULL);
    const char *destination = cmdline_string(c, "dst-namespace", NULL);
    const bool same = is_same_namespace(c);
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(h, source, FLUX_KVS_TREEOBJ, c->argv[0]);
    const char *treeobj;

    if (!f || flux_kvs_lookup_get_treeobj(f, &treeobj) < 0)
        return kvs_complain(f, "--src-namespace", source, c->argv[0]);
    if (!txn || flux_kvs_txn_put_treeobj(txn, 0, c->argv[1], treeobj) < 0)
        return kvs_complain_key(c->argv[1]);
    if (unlink && same && flux_kvs_txn_unlink(txn, 0, c->argv[0]) < 0)
        return kvs_complain_key(c->argv[0]);
    return commit(h, c, (struct where){ "--dst-namespace", destination }, 0, txn);
}

static int run_copy(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();

    return h ? copy(h, c, false) : EXIT_FAILURE;
}

static int run_move(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = NULL;
    const char *source = cmdline_string(c, "src-namespace", NULL);
    const bool same = is_same_namespace(c);

    if (same && (contains(c->argv[0], c->argv[1]) || contains(c->argv[1], c->argv[0])))
        return complain("cannot move '%s' to '%s': one is the other or contains it", c->argv[0],
                        c->argv[1]);
    if (!(h = client_open()) || copy(h, c, true) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    if (same)
        return EXIT_SUCCESS;
    if (!(txn = flux_kvs_txn_create()) || flux_kvs_txn_unlink(txn, 0, c->argv[0]) < 0)
        return kvs_complain_key(c->argv[0]);
    return commit(h, c, (struct where){ "--src-namespace", source }, 0, txn);
}

#define PRINT_ROOT                                                     \
    { 'O', "treeobj-root", NULL, "Print the new root" },               \
        { 'b', "blobref", NULL, "Print the blobref of the new root" }, \
    {                                                                  \
        's', "sequence", NULL, "Print the sequence of the new root"    \
    }

static const struct option put_options[] = {
    KVS_NAMESPACE_OPTION,
    PRINT_ROOT,
    { 'r', "raw", NULL, "Store bytes; - reads standard input" },
    { 't', "treeobj", NULL, "Store a tree object (RFC 11); - reads standard input" },
    { 'n', "no-merge", NULL, "Do not merge the commit with others" },
    { 'S', "sync", NULL, "Wait until the database has it" },
    { 'A', "append", NULL, "Append to the value" },
    { 0 },
};
static const struct option unlink_options[] = {
    KVS_NAMESPACE_OPTION,
    PRINT_ROOT,
    { 'R', "recursive", NULL, "Remove directories with their content" },
    { 'f', "force", NULL, "Do not mind keys that do not exist" },
    { 0 },
};
static const struct option mkdir_options[] = { KVS_NAMESPACE_OPTION, PRINT_ROOT, { 0 } };
static const struct option link_options[] = {
    KVS_NAMESPACE_OPTION,
    PRINT_ROOT,
    { 'T', "target-namespace", "NS", "Namespace of the target" },
    { 0 },
};
static const struct option readlink_options[] = {
    KVS_NAMESPACE_OPTION,
    { 'a', "at", "SNAPSHOT", "Look up below a snapshot: a tree object or blobref" },
    { 'o', "namespace-only", NULL, "Print the namespace of the target only" },
    { 'k', "key-only", NULL, "Print the key of the target only" },
    { 0 },
};
static const struct option copy_options[] = {
    { 'S', "src-namespace", "NS", "Namespace of the source" },
    { 'D', "dst-namespace", "NS", "Namespace of the destination" },
    { 0 },
};

const struct command cmd_kvs[] = {
    { "kvs put", "KEY=VALUE...", "Store values", put_options, 1, -1, 0, run_put },
    { "kvs unlink", "KEY...", "Remove keys", unlink_options, 1, -1, 0, run_unlink },
    { "kvs mkdir", "KEY...", "Create empty directories", mkdir_options, 1, -1, 0, run_mkdir },
    { "kvs link", "TARGET LINKNAME", "Create a symbolic link", link_options, 2, 2, 0, run_link },
    { "kvs readlink", "KEY...", "Print where links point", readlink_options, 1, -1, 0,
      run_readlink },
    { "kvs copy", "SOURCE DESTINATION", "Copy a key", copy_options, 2, 2, 0, run_copy },
    { "kvs move", "SOURCE DESTINATION", "Move a key", copy_options, 2, 2, 0, run_move },
    { 0 },
};
