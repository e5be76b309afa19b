/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl restore: an archive (kvs-archive.h, or any tar archive of files) into the key-value
 * store.
 *
 *     archive --checked--> keys of a namespace of its own --all is well--> one commit puts it there
 *
 * So a damaged archive changes nothing. Values larger than a piece are stored piece by piece in
 * the content store, the keys go into commits of a bounded size: memory does not grow with the
 * archive.
 *
 * Refuses: what is no file, link or directory; names with a period; an entry that does not have its
 * digest; an archive that has digests but not its last entry. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "api/treeobj.h"
#include "kvs-archive.h"
#include "base/number.h"
#include "client.h"
#include "families.h"
#include "kvs-common.h"

DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

#define BATCH_KEYS    1000
#define BATCH_BYTES   (1u << 20)
#define VALUE_SMALL   (32u << 10) /* bytes: goes with its commit */
#define PROGRESS_STEP 10000       /* keys */

struct restore {
    const struct archive_library *la;
    struct archive *a;
    flux_t *h;          /* NULL: only check */
    char namespace[64]; /* of our own; "": not made */
    flux_kvs_txn_t *txn;
    size_t nops, nbytes; /* in txn */
    char *piece;
    uint64_t size_limit; /* 0: none */
    int flags;           /* of flux_content_store() */
    size_t count, left_out;
    size_t promised; /* entries, as the last one says */
    bool digests;    /* somebody has seen to it that it can be checked */
    bool verbose, quiet;
};

/* An entry that is being read. */
struct item {
    struct archive_entry *entry;
    char *key;
    struct digest_stream digest;
    char wanted[BLOBREF_STRING_SIZE]; /* "": not known */
};

static int archive_fail(struct restore *r)
{
    const char *why = r->la->archive_error_string(r->a);

    complain("the archive is damaged: %s", why ? why : "it ends too early, or is no archive");
    return -1;
}

/* --- keys */

/* The parts of a path, joined by periods. NULL: it cannot be a key. */
static char *key_of_path(const char *path)
{
    char *key = malloc(strlen(path) + 1);
    char *out = key;

    while (key && *path) {
        size_t len = strcspn(path, "/");

        if (len > 0 && !(len == 1 && *path == '.')) {
            if (memchr(path, '.', len)) {
                free(key);
                return NULL;
            }
            if (out > key)
                *out++ = '.';
            memcpy(out, path, len);
            out += len;
        }
        path += len;
        path += strspn(path, "/");
    }
    if (key)
        *out = '\0';
    return key;
}

static void read_xattrs(struct restore *r, struct item *it)
{
    const char *name;
    const void *value;
    size_t size;

    r->la->archive_entry_xattr_reset(it->entry);
    while (r->la->archive_entry_xattr_next(it->entry, &name, &value, &size) == ARCHIVE_OK) {
        CLEANUP(freep) char *text = strndup(value ? value : "", size);
        uint64_t n;

        if (!text || !name)
            continue;
        if (strcmp(name, ARCHIVE_XATTR_DIGEST) == 0) {
            (void)snprintf(it->wanted, sizeof(it->wanted), "%s", text);
            r->digests = true;
        } else if (strcmp(name, ARCHIVE_XATTR_COUNT) == 0) {
            r->promised = number_parse_u64(text, SIZE_MAX, &n) < 0 ? SIZE_MAX : n;
        } else if (strcmp(name, ARCHIVE_XATTR_KEY) == 0) {
            free(it->key);
            it->key = TAKE(text);
        }
    }
}

/* In UTF-8, whatever the locale is; as it is if it is no UTF-8. */
static const char *entry_path(struct restore *r, struct archive_entry *entry)
{
    const char *path = r->la->archive_entry_pathname_utf8(entry);

    if (!path)
        path = r->la->archive_entry_pathname(entry);
    return path ? path : "";
}

static int item_begin(struct restore *r, struct item *it, char type)
{
    const char *path = entry_path(r, it->entry);

    it->key = NULL;
    it->wanted[0] = '\0';
    read_xattrs(r, it);
    if (!it->key && !(it->key = key_of_path(path))) {
        complain("'%s' cannot be a key", path);
        return -1;
    }
    entry_digest_begin(&it->digest, type, it->key);
    return 0;
}

static int item_check(struct restore *r, struct item *it)
{
    char found[BLOBREF_STRING_SIZE];

    if (!r->digests)
        return 0;
    entry_digest_end(&it->digest, found);
    if (strcmp(found, it->wanted) == 0)
        return 0;
    complain("the archive is damaged: %s does not have its digest", it->key);
    return -1;
}

/* --- commits */

static int flush(struct restore *r)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (!r->h || r->nops == 0)
        return 0;
    if (!(f = flux_kvs_commit(r->h, r->namespace, 0, r->txn)) || flux_future_get(f, NULL) < 0)
        return complain_future(f, "cannot commit"), -1;
    flux_kvs_txn_destroy(r->txn);
    r->nops = r->nbytes = 0;
    if (!(r->txn = flux_kvs_txn_create()))
        return complain("out of memory"), -1;
    return 0;
}

/* Something was added to the transaction, or could not be (rc). */
static int added(struct restore *r, const struct item *it, int rc, size_t bytes)
{
    if (rc < 0)
        return complain("%s: %s", it->key, strerror(errno)), -1;
    r->nops++;
    r->nbytes += bytes;
    return r->nops >= BATCH_KEYS || r->nbytes >= BATCH_BYTES ? flush(r) : 0;
}

/* --- files */

/* Fills the piece. *ret_len is shorter at the end of the file only. */
static int read_piece(struct restore *r, struct item *it, size_t *ret_len)
{
    size_t len = 0;

    while (len < ARCHIVE_PIECE_SIZE) {
        la_ssize_t n = r->la->archive_read_data(r->a, r->piece + len, ARCHIVE_PIECE_SIZE - len);

        if (n < 0)
            return archive_fail(r);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    digest_stream_add(&it->digest, r->piece, len);
    *ret_len = len;
    return 0;
}

static int store_piece(struct restore *r, size_t len, json_t *refs)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const char *ref;

    if (!r->h)
        return 0;
    f = flux_content_store(r->h, r->piece, len, r->flags);
    if (!f || flux_content_store_get(f, &ref) < 0)
        return complain_future(f, "cannot store a value"), -1;
    return json_array_append_new(refs, json_string(ref));
}

static int put_refs(struct restore *r, const struct item *it, json_t *refs, uint64_t size)
{
    CLEANUP(json_decrefp)
    json_t *o = json_pack("{s:i s:s s:O s:I}", "ver", 1, "type", "valref", "data", refs, "size",
                          (json_int_t)size);
    CLEANUP(freep) char *text = o ? treeobj_encode(o) : NULL;

    if (!text)
        return complain("out of memory"), -1;
    return added(r, it, flux_kvs_txn_put_treeobj(r->txn, 0, it->key, text), strlen(text));
}

/* The rest of a file whose first piece was full. */
static int restore_large(struct restore *r, struct item *it, size_t len)
{
    CLEANUP(json_decrefp) json_t *refs = json_array();
    uint64_t size = 0;

    while (len > 0) {
        size += len;
        if (!refs || store_piece(r, len, refs) < 0 || read_piece(r, it, &len) < 0)
            return -1;
    }
    if (item_check(r, it) < 0)
        return -1;
    return r->h ? put_refs(r, it, refs, size) : 0;
}

static int restore_file(struct restore *r, struct item *it)
{
    size_t len;

    if (r->size_limit > 0 && (uint64_t)r->la->archive_entry_size(it->entry) > r->size_limit) {
        complain("left out %s: it has more than %ju bytes", it->key, (uintmax_t)r->size_limit);
        r->left_out++;
        return 0;
    }
    if (read_piece(r, it, &len) < 0)
        return -1;
    if (len > VALUE_SMALL)
        return restore_large(r, it, len);
    if (item_check(r, it) < 0)
        return -1;
    return r->h ? added(r, it, flux_kvs_txn_put_raw(r->txn, 0, it->key, r->piece, (int)len), len)
                : 0;
}

/* --- links and directories */

static int restore_link(struct restore *r, struct item *it)
{
    const char *text = r->la->archive_entry_symlink_utf8(it->entry);
    CLEANUP(freep) char *ns = NULL;
    const char *colons;

    if (!text && !(text = r->la->archive_entry_symlink(it->entry)))
        return archive_fail(r);
    digest_stream_add(&it->digest, text, strlen(text));
    if (item_check(r, it) < 0)
        return -1;
    if (!r->h)
        return 0;
    if ((colons = strstr(text, "::")) && !(ns = strndup(text, (size_t)(colons - text))))
        return complain("out of memory"), -1;
    return added(r, it, flux_kvs_txn_symlink(r->txn, 0, it->key, ns, colons ? colons + 2 : text),
                 64);
}

/* Archives of others name directories that are not empty, too: those must not be emptied. */
static int restore_dir(struct restore *r, struct item *it)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const flux_kvsdir_t *dir;

    if (!*it->key) /* the root */
        return 0;
    if (item_check(r, it) < 0)
        return -1;
    if (!r->h)
        return 0;
    if (flush(r) < 0)
        return -1;
    f = flux_kvs_lookup(r->h, r->namespace, FLUX_KVS_READDIR, it->key);
    if (f && flux_kvs_lookup_get_dir(f, &dir) == 0)
        return 0;
    return added(r, it, flux_kvs_txn_mkdir(r->txn, 0, it->key), 64);
}

static int restore_item(struct restore *r, struct archive_entry *entry)
{
    static const struct {
        unsigned int type;
        char letter;
        int (*fn)(struct restore *r, struct item *it);
    } types[] = {
        { AE_IFREG, 'f', restore_file },
        { AE_IFLNK, 'l', restore_link },
        { AE_IFDIR, 'd', restore_dir },
    };
    struct item it = { .entry = entry };
    int rc = -1;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (types[i].type != r->la->archive_entry_filetype(entry))
            continue;
        if (item_begin(r, &it, types[i].letter) == 0)
            rc = types[i].fn(r, &it);
        if (rc == 0 && r->verbose)
            fprintf(stderr, "%s\n", it.key);
        free(it.key);
        return rc;
    }
    complain("'%s' is neither a file nor a link nor a directory", entry_path(r, entry));
    return -1;
}

/* --- the archive */

static int check_end(const struct restore *r)
{
    if (!r->digests || r->promised == r->count)
        return 0;
    if (r->promised == 0)
        complain("the archive is damaged: it ends after %zu keys, before its last", r->count);
    else
        complain("the archive is damaged: it has %zu of %zu keys", r->count, r->promised);
    return -1;
}

static int read_entries(struct restore *r)
{
    struct archive_entry *entry;
    int rc;

    while ((rc = r->la->archive_read_next_header(r->a, &entry)) != ARCHIVE_EOF) {
        if (rc < ARCHIVE_WARN)
            return archive_fail(r);
        if (restore_item(r, entry) < 0)
            return -1;
        r->count++;
        if (!r->quiet && !r->verbose && r->count % PROGRESS_STEP == 0)
            fprintf(stderr, "%zu keys\n", r->count);
    }
    return check_end(r) < 0 ? -1 : flush(r);
}

static int read_archive(struct restore *r, int fd)
{
    int rc = -1;

    if (!(r->a = r->la->archive_read_new()) || !(r->piece = malloc(ARCHIVE_PIECE_SIZE)))
        complain("out of memory");
    else if (r->la->archive_read_support_filter_all(r->a) < ARCHIVE_WARN ||
             r->la->archive_read_support_format_tar(r->a) < ARCHIVE_WARN ||
             r->la->archive_read_open_fd(r->a, fd, 65536) < ARCHIVE_WARN)
        rc = archive_fail(r);
    else
        rc = read_entries(r);
    if (r->a)
        (void)r->la->archive_read_free(r->a);
    free(r->piece);
    return rc;
}

static int read_file(struct restore *r, const char *path)
{
    int fd, rc;

    if (strcmp(path, "-") == 0)
        return read_archive(r, STDIN_FILENO);
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return complain("cannot open %s: %s", path, strerror(errno)), -1;
    rc = read_archive(r, fd);
    (void)close(fd);
    return rc;
}

/* --- where it goes */

static int namespace_make(struct restore *r)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    char name[sizeof(r->namespace)];
    uint64_t n;

    if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
        return complain("no random number: %s", strerror(errno)), -1;
    (void)snprintf(name, sizeof(name), "restore-%016jx", (uintmax_t)n);
    f = flux_kvs_namespace_create(r->h, name, FLUX_USERID_UNKNOWN, 0);
    if (!f || flux_future_get(f, NULL) < 0)
        return complain_future(f, "cannot create a namespace"), -1;
    memcpy(r->namespace, name, sizeof(name));
    return 0;
}

static void namespace_remove(struct restore *r)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (!r->namespace[0])
        return;
    f = flux_kvs_namespace_remove(r->h, r->namespace);
    if (!f || flux_future_get(f, NULL) < 0)
        complain_future(f, "namespace %s remains", r->namespace);
}

static int get_root(struct restore *r, flux_future_t **ret, const char **ret_treeobj,
                    const char **ret_ref)
{
    *ret = flux_kvs_getroot(r->h, r->namespace, 0);
    if (!*ret || flux_kvs_getroot_get_treeobj(*ret, ret_treeobj) < 0 ||
        flux_kvs_getroot_get_blobref(*ret, ret_ref) < 0)
        return complain_future(*ret, "cannot get the root"), -1;
    return 0;
}

/* One commit: key := the namespace, which is no more then. */
static int place_at(struct restore *r, const char *key)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (!txn || flux_kvs_txn_archive(txn, 0, key, r->namespace) < 0)
        return kvs_complain_key(key), -1;
    if (!(f = flux_kvs_commit(r->h, KVS_PRIMARY_NAMESPACE, 0, txn)) || flux_future_get(f, NULL) < 0)
        return complain_future(f, "cannot commit %s", key), -1;
    r->namespace[0] = '\0';
    return 0;
}

static int place_at_root(struct restore *r, const char *treeobj)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (!txn || flux_kvs_txn_put_treeobj(txn, 0, ".", treeobj) < 0)
        return complain("cannot replace the root: %s", strerror(errno)), -1;
    if (!(f = flux_kvs_commit(r->h, KVS_PRIMARY_NAMESPACE, 0, txn)) || flux_future_get(f, NULL) < 0)
        return complain_future(f, "cannot replace the root"), -1;
    return 0;
}

static int place(struct restore *r, const struct cmdline *c)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const char *key = cmdline_string(c, "key", NULL);
    const char *treeobj, *ref;

    if (get_root(r, &f, &treeobj, &ref) < 0)
        return -1;
    if (cmdline_has(c, "checkpoint"))
        return place_at_root(r, treeobj);
    if (key)
        return place_at(r, key);
    puts(ref);
    return 0;
}

static int restore_into(struct restore *r, const struct cmdline *c)
{
    int rc = -1;

    if (!(r->h = client_open()))
        return -1;
    if (!(r->txn = flux_kvs_txn_create()))
        complain("out of memory");
    else if (namespace_make(r) == 0 && read_file(r, c->argv[0]) == 0)
        rc = place(r, c);
    namespace_remove(r);
    flux_kvs_txn_destroy(r->txn);
    flux_close(r->h);
    return rc;
}

static int run_restore(const struct cmdline *c)
{
    const char *limit = cmdline_string(c, "size-limit", NULL);
    struct restore r = {
        .flags = cmdline_has(c, "no-cache") ? CONTENT_FLAG_CACHE_BYPASS : 0,
        .verbose = cmdline_has(c, "verbose"),
        .quiet = cmdline_has(c, "quiet"),
    };
    bool verify = cmdline_has(c, "verify");

    if (refuse_both(c, "verbose", "quiet") < 0 || refuse_both(c, "key", "checkpoint") < 0 ||
        refuse_both(c, "key", "verify") < 0 || refuse_both(c, "checkpoint", "verify") < 0)
        return EXIT_FAILURE;
    if (limit && number_parse_size(limit, &r.size_limit) < 0)
        return complain("--size-limit: '%s' is not a number of bytes", limit);
    if (!(r.la = archive_library()) ||
        (verify ? read_file(&r, c->argv[0]) : restore_into(&r, c)) < 0)
        return EXIT_FAILURE;
    if (!r.digests && r.count > 0)
        complain("the archive has no digests: only its structure could be checked");
    if (!r.quiet)
        fprintf(stderr, "%s %zu keys\n", verify ? "verified" : "restored", r.count - r.left_out);
    return EXIT_SUCCESS;
}

static const struct option restore_options[] = {
    { 'v', "verbose", NULL, "List the keys" },
    { 'q', "quiet", NULL, "Print nothing but errors" },
    { 0, "key", "KEY", "Put what is restored there" },
    { 0, "checkpoint", NULL, "Replace the whole key-value store" },
    { 0, "verify", NULL, "Check the archive, and change nothing; needs no instance" },
    { 0, "size-limit", "SIZE", "Leave out larger values" },
    { 0, "no-cache", NULL, "Store past the cache of the content store" },
    { 0 },
};

const struct command cmd_restore[] = {
    { "restore", "INFILE", "Restore an archive of the key-value store", restore_options, 1, 1, 0,
      run_restore },
    { 0 },
};
