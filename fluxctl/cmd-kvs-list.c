/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl kvs ls, dir: what is below a directory. Names are sorted. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client.h"
#include "families.h"
#include "kvs-common.h"
#include "kvs-value.h"
#include "plain-text.h"

struct listing {
    flux_t *h;
    const struct cmdline *c;
    const char *at;
    int width; /* of the terminal, 0: no limit */
};

/* The names of a directory, sorted. */
struct names {
    char **names;
    size_t count;
};

static void names_deinit(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->names[i]);
    free(n->names);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(struct names *n, const flux_kvsdir_t *dir)
{
    flux_kvsitr_t *itr = flux_kvsitr_create(dir);
    const char *name;

    *n = (struct names){ .names = calloc((size_t)flux_kvsdir_get_size(dir) + 1, sizeof(char *)) };
    while (itr && n->names && (name = flux_kvsitr_next(itr)))
        n->names[n->count++] = strdup(name);
    flux_kvsitr_destroy(itr);
    if (n->names)
        qsort(n->names, n->count, sizeof(char *), by_name);
    return n->names ? 0 : -1;
}

static int terminal_width(const struct cmdline *c, int *ret)
{
    const char *width = cmdline_string(c, "width", NULL);
    struct winsize w;

    if (width)
        return parse_count(width, "--width", 0, ret);
    *ret = 0;
    if (isatty(STDOUT_FILENO))
        *ret = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
    return 0;
}

static flux_future_t *look_up(const struct listing *l, int flags, const char *key)
{
    return l->at ? flux_kvs_lookupat(l->h, flags, key, l->at)
                 : flux_kvs_lookup(l->h, kvs_option_namespace(l->c), flags, key);
}

/* Whoever may write below a key chooses names there. */
static void print_key(const char *key, const char *end)
{
    plain_puts(stdout, key);
    fputs(end, stdout);
}

/* --- ls --- */

static const char *suffix_of(const struct listing *l, const flux_kvsdir_t *dir, const char *name)
{
    if (!cmdline_has(l->c, "classify"))
        return "";
    if (flux_kvsdir_issymlink(dir, name))
        return "@";
    return flux_kvsdir_isdir(dir, name) ? "." : "";
}

/* In columns, filled downwards, if there is a width. */
static void print_columns(const struct listing *l, const flux_kvsdir_t *dir, const struct names *n)
{
    bool one = cmdline_has(l->c, "1") || l->width == 0;
    size_t longest = 0, columns, rows;

    for (size_t i = 0; i < n->count; i++) {
        size_t len = strlen(n->names[i]) + strlen(suffix_of(l, dir, n->names[i]));

        longest = len > longest ? len : longest;
    }
    columns = one || longest == 0 ? 1 : (size_t)l->width / (longest + 2);
    columns = columns ? columns : 1;
    rows = (n->count + columns - 1) / columns;
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row; i < n->count; i += rows) {
            const char *suffix = suffix_of(l, dir, n->names[i]);
            bool last = i + rows >= n->count;

            plain_puts(stdout, n->names[i]);
            printf("%s%*s", suffix,
                   last ? 0 : (int)(longest + 2 - strlen(n->names[i]) - strlen(suffix)), "");
        }
        putchar('\n');
    }
}

static bool is_link(const struct listing *l, const char *key)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(l->h, kvs_option_namespace(l->c), FLUX_KVS_READLINK, key);

    return f && flux_kvs_lookup_get_symlink(f, NULL, NULL) == 0;
}

/* A link that is not to be followed, or that leads nowhere: by its name, as ls does. */
static int ls_link(const struct listing *l, const char *key)
{
    print_key(key, cmdline_has(l->c, "classify") ? "@\n" : "\n");
    return EXIT_SUCCESS;
}

static int ls_dir(const struct listing *l, const char *key, bool title)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const flux_kvsdir_t *dir;
    struct names n;
    int status = EXIT_SUCCESS;

    if (cmdline_has(l->c, "directory") && is_link(l, key))
        return ls_link(l, key);
    f = look_up(l, FLUX_KVS_READDIR, key);
    if (!f || flux_kvs_lookup_get_dir(f, &dir) < 0) {
        if (f && errno == ENOTDIR) {
            print_key(key, "\n"); /* a value is listed by its name, as ls does with files */
            return EXIT_SUCCESS;
        }
        if (f && (errno == ENOENT || errno == ENOTSUP || errno == ELOOP)) {
            const int errnum = errno;

            if (is_link(l, key))
                return ls_link(l, key);
            errno = errnum;
        }
        return kvs_complain(f, "--namespace", kvs_option_namespace(l->c), key);
    }
    if (cmdline_has(l->c, "directory")) {
        print_key(key, cmdline_has(l->c, "classify") && strcmp(key, ".") != 0 ? ".\n" : "\n");
        return EXIT_SUCCESS;
    }
    if (names_read(&n, dir) < 0)
        return complain("out of memory");
    if (title)
        print_key(key, ":\n");
    print_columns(l, dir, &n);
    for (size_t i = 0; cmdline_has(l->c, "recursive") && i < n.count; i++) {
        CLEANUP(freep) char *sub = NULL;

        if (!flux_kvsdir_isdir(dir, n.names[i]))
            continue;
        sub = flux_kvsdir_key_at(dir, n.names[i]);
        putchar('\n');
        status |= sub ? ls_dir(l, sub, true) : EXIT_FAILURE;
    }
    names_deinit(&n);
    return status;
}

static int run_ls(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    struct listing l = { .c = c };
    int status = EXIT_SUCCESS;

    if (terminal_width(c, &l.width) < 0 || !(h = client_open()))
        return EXIT_FAILURE;
    l.h = h;
    for (int i = 0; i < (c->argc ? c->argc : 1); i++)
        status |=
            ls_dir(&l, c->argc ? c->argv[i] : ".", c->argc > 1 || cmdline_has(c, "recursive"));
    return status;
}

/* --- dir --- */

/* KEY = VALUE, cut at the width. */
static void print_value(const struct listing *l, const char *key, const char *data, int len)
{
    int room = l->width ? l->width - (int)strlen(key) - 3 : len;
    bool cut = room < len;

    print_key(key, " = ");
    if (cut)
        room -= 3;
    if (room > 0)
        plain_write(stdout, data, (size_t)(cut ? room : len));
    puts(cut ? "..." : "");
}

static int on_piece(const void *data, size_t size, void *arg)
{
    plain_write(stdout, data, size);
    if (ferror(stdout))
        output_fail();
    return EXIT_SUCCESS;
}

/* As much of a value as may be seen. */
struct beginning {
    char *data;
    size_t used, size;
};

#define ENOUGH 2 /* no exit status */

static int on_first_piece(const void *data, size_t size, void *arg)
{
    struct beginning *b = arg;
    size_t n = b->size - b->used < size ? b->size - b->used : size;

    memcpy(b->data + b->used, data, n);
    b->used += n;
    return b->used == b->size ? ENOUGH : EXIT_SUCCESS;
}

/* A value in pieces, of which few are in memory at a time. */
static int print_long(const struct listing *l, const char *key, const char *treeobj)
{
    struct beginning b = { .size = (size_t)l->width + 1 };
    CLEANUP(freep) char *data = b.data = malloc(b.size);
    int status;

    if (!data)
        return complain("out of memory");
    if (l->width) {
        if ((status = kvs_value_each(l->h, treeobj, on_first_piece, &b)) == EXIT_FAILURE)
            return status;
        print_value(l, key, b.data, (int)b.used);
        return EXIT_SUCCESS;
    }
    print_key(key, " = ");
    status = kvs_value_each(l->h, treeobj, on_piece, NULL);
    putchar('\n');
    return status;
}

static int dir_key(const struct listing *l, const char *key)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = look_up(l, FLUX_KVS_TREEOBJ, key);
    const char *treeobj;
    const void *data;
    int len;

    if (f && flux_kvs_lookup_get_treeobj(f, &treeobj) == 0 &&
        flux_kvs_lookup_get_raw(f, &data, &len) < 0) {
        if (kvs_value_is_long(l->h, treeobj))
            return print_long(l, key, treeobj);
        flux_future_destroy(f);
        f = look_up(l, 0, key);
    }
    if (!f || flux_kvs_lookup_get_raw(f, &data, &len) < 0)
        return kvs_complain(f, "--namespace", kvs_option_namespace(l->c), key);
    print_value(l, key, data, len);
    return EXIT_SUCCESS;
}

static int dir_symlink(const struct listing *l, const char *key)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = look_up(l, FLUX_KVS_READLINK, key);
    const char *ns, *target;

    if (!f || flux_kvs_lookup_get_symlink(f, &ns, &target) < 0)
        return kvs_complain(f, "--namespace", kvs_option_namespace(l->c), key);
    print_key(key, " -> ");
    print_key(ns ? ns : "", ns ? "::" : "");
    print_key(target, "\n");
    return EXIT_SUCCESS;
}

static int dir_below(const struct listing *l, const char *key);

static int dir_entry(const struct listing *l, const flux_kvsdir_t *dir, const char *name)
{
    CLEANUP(freep) char *key = flux_kvsdir_key_at(dir, name);

    if (!key)
        return complain("out of memory");
    if (flux_kvsdir_issymlink(dir, name))
        return dir_symlink(l, key);
    if (flux_kvsdir_isdir(dir, name)) {
        if (cmdline_has(l->c, "recursive"))
            return dir_below(l, key);
        print_key(key, ".\n");
        return EXIT_SUCCESS;
    }
    if (!cmdline_has(l->c, "directory"))
        return dir_key(l, key);
    print_key(key, "\n");
    return EXIT_SUCCESS;
}

static int dir_below(const struct listing *l, const char *key)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = look_up(l, FLUX_KVS_READDIR, key);
    const flux_kvsdir_t *dir;
    struct names n;
    int status = EXIT_SUCCESS;

    if (!f || flux_kvs_lookup_get_dir(f, &dir) < 0)
        return kvs_complain(f, "--namespace", kvs_option_namespace(l->c), key);
    if (names_read(&n, dir) < 0)
        return complain("out of memory");
    for (size_t i = 0; i < n.count; i++)
        status |= dir_entry(l, dir, n.names[i]);
    names_deinit(&n);
    return status;
}

static int run_dir(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    struct listing l = { .c = c };
    int status;
    CLEANUP(freep) char *at = kvs_option_at(c, &status);

    l.at = at;
    if (status != EXIT_SUCCESS || terminal_width(c, &l.width) < 0 || !(h = client_open()))
        return EXIT_FAILURE;
    l.h = h;
    return dir_below(&l, c->argc ? c->argv[0] : ".");
}

static const struct option ls_options[] = {
    KVS_NAMESPACE_OPTION,
    { 'R', "recursive", NULL, "List directories below too" },
    { 'd', "directory", NULL, "List the directory, not its content" },
    { 'F', "classify", NULL, "Mark directories with . and links with @" },
    { 'w', "width", "COLS", "Width of the terminal (0: no limit)" },
    { '1', NULL, NULL, "One name a line" },
    { 0 },
};
static const struct option dir_options[] = {
    KVS_NAMESPACE_OPTION,
    { 'R', "recursive", NULL, "Show directories below too" },
    { 'd', "directory", NULL, "Do not show values" },
    { 'w', "width", "COLS", "Cut lines at this width (0: no limit)" },
    { 'a', "at", "SNAPSHOT", "Look up below a snapshot: a tree object or blobref" },
    { 0 },
};

const struct command cmd_kvs_list[] = {
    { "kvs ls", "[KEY...]", "List directories", ls_options, 0, -1, 0, run_ls },
    { "kvs dir", "[KEY]", "Show a directory with its values", dir_options, 0, 1, 0, run_dir },
    { 0 },
};
