/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl dump: the primary namespace, as it is at one moment, into an archive (kvs-archive.h).
 *
 * The last entry says how many there are, so an entry is written when the next one is known. A
 * value is read blob by blob; one of several blobs twice, because its size and digest come first.
 *
 * The archive is written under another name and gets its own when it is whole and on disk. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/treeobj.h"
#include "base/fdwrite.h"
#include "kvs-archive.h"
#include "client.h"
#include "families.h"
#include "tree-walk.h"

#define PROGRESS_STEP 10000 /* keys */

/* An entry that is still to be written. */
struct pending {
    char *key; /* NULL: there is none */
    json_t *treeobj;
    char *bytes;         /* of a val */
    flux_future_t *blob; /* of a valref to one blob: holds it */
    uint64_t size;
    struct digest_stream digest; /* complete */
};

struct dump {
    const struct archive_library *la;
    struct archive *a;
    struct archive_entry *entry;
    struct tree_walk walk;
    time_t now;
    struct pending pending;
    size_t count;
    const char *path;
    int fd;
    int write_errno; /* of the file; what comes after it is dropped */
    bool verbose, quiet;
};

static void pending_deinit(struct pending *p)
{
    free(p->key);
    json_decref(p->treeobj);
    free(p->bytes);
    flux_future_destroy(p->blob);
    *p = (struct pending){ .key = NULL };
}

/* For libarchive nothing goes wrong here: in an archive that has failed it would keep its buffers
 * for ever. */
static la_ssize_t on_write(struct archive *a, void *arg, const void *data, size_t size)
{
    struct dump *d = arg;

    if (d->write_errno == 0)
        d->write_errno = -fd_write_all(d->fd, data, size);
    return (la_ssize_t)size;
}

static int archive_fail(struct dump *d, const char *what)
{
    /* The text may be "Write error" only. */
    const int errnum = d->write_errno ? d->write_errno : d->la->archive_errno(d->a);
    const char *why = errnum > 0 ? strerror(errnum) : d->la->archive_error_string(d->a);

    complain("cannot write %s: %s", d->write_errno ? d->path : what,
             why ? why : "libarchive does not say why");
    return -1;
}

/* --- values */

static flux_future_t *load_ref(struct dump *d, const json_t *ref, const void **ret_data,
                               size_t *ret_size)
{
    const char *blobref = json_string_value(ref);

    if (blobref)
        return load_blob(&d->walk, d->pending.key, blobref, ret_data, ret_size);
    complain("%s: not a value of RFC 11", d->pending.key);
    return NULL;
}

static int measure_blobs(struct dump *d, struct pending *p, const json_t *refs)
{
    const json_t *ref;
    size_t i;

    json_array_foreach (refs, i, ref) {
        CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
        const void *data;
        size_t size;

        if (!(f = load_ref(d, ref, &data, &size)))
            return -EIO;
        digest_stream_add(&p->digest, data, size);
        p->size += size;
        if (json_array_size(refs) == 1)
            p->blob = TAKE(f);
    }
    return 0;
}

static int measure_value(struct dump *d, struct pending *p)
{
    size_t size;

    entry_digest_begin(&p->digest, 'f', p->key);
    if (treeobj_is_type(p->treeobj, "valref"))
        return measure_blobs(d, p, treeobj_data(p->treeobj));
    if (treeobj_decode_val(p->treeobj, &p->bytes, &size) < 0)
        return complain("%s: not a value of RFC 11", p->key), -1;
    digest_stream_add(&p->digest, p->bytes, size);
    p->size = size;
    return 0;
}

static int write_bytes(struct dump *d, const void *data, size_t size)
{
    if (size > 0 &&
        (d->la->archive_write_data(d->a, data, size) != (la_ssize_t)size || d->write_errno))
        return archive_fail(d, d->pending.key);
    return 0;
}

static int write_blobs(struct dump *d, const json_t *refs)
{
    const json_t *ref;
    size_t i, size;
    const void *data;

    if (d->pending.blob)
        return flux_content_load_get(d->pending.blob, &data, &size) == 0
                   ? write_bytes(d, data, size)
                   : -1;
    json_array_foreach (refs, i, ref) {
        CLEANUP(flux_future_destroyp) flux_future_t *f = load_ref(d, ref, &data, &size);

        if (!f || write_bytes(d, data, size) < 0)
            return -1;
    }
    return 0;
}

/* --- entries */

/* a.b: a/b. A "/" within a name is written as "%2F", and the key beside. */
static char *path_of(const char *key)
{
    char *path = malloc(3 * strlen(key) + 1);
    char *out = path;

    for (const char *p = key; path && *p; p++) {
        if (*p == '/')
            out = stpcpy(out, "%2F");
        else
            *out++ = *p == '.' ? '/' : *p;
    }
    if (path)
        *out = '\0';
    return path;
}

static void set_xattr(struct dump *d, const char *name, const char *value)
{
    d->la->archive_entry_xattr_add_entry(d->entry, name, value, strlen(value));
}

static int entry_begin(struct dump *d, unsigned int type, bool last)
{
    const char *key = d->pending.key;
    CLEANUP(freep) char *path = path_of(key);
    char count[24];

    if (!path)
        return complain("out of memory"), -1;
    d->la->archive_entry_clear(d->entry);
    d->la->archive_entry_set_pathname(d->entry, path);
    d->la->archive_entry_set_filetype(d->entry, type);
    d->la->archive_entry_set_perm(d->entry, type == AE_IFDIR ? 0755 : 0644);
    d->la->archive_entry_set_uid(d->entry, getuid());
    d->la->archive_entry_set_gid(d->entry, getgid());
    d->la->archive_entry_set_mtime(d->entry, d->now, 0);
    d->la->archive_entry_set_size(d->entry, (la_int64_t)d->pending.size);
    if (strchr(key, '/'))
        set_xattr(d, ARCHIVE_XATTR_KEY, key);
    if (last) {
        (void)snprintf(count, sizeof(count), "%zu", d->count);
        set_xattr(d, ARCHIVE_XATTR_COUNT, count);
    }
    return 0;
}

static int entry_end(struct dump *d)
{
    char digest[BLOBREF_STRING_SIZE];

    entry_digest_end(&d->pending.digest, digest);
    set_xattr(d, ARCHIVE_XATTR_DIGEST, digest);
    return d->la->archive_write_header(d->a, d->entry) < ARCHIVE_WARN || d->write_errno
               ? archive_fail(d, d->pending.key)
               : 0;
}

static int write_value(struct dump *d, bool last)
{
    if (entry_begin(d, AE_IFREG, last) < 0 || entry_end(d) < 0)
        return -1;
    if (treeobj_is_type(d->pending.treeobj, "valref"))
        return write_blobs(d, treeobj_data(d->pending.treeobj));
    return write_bytes(d, d->pending.bytes, d->pending.size);
}

static int write_symlink(struct dump *d, bool last)
{
    const json_t *data = treeobj_data(d->pending.treeobj);
    const char *ns = json_string_value(json_object_get(data, "namespace"));
    const char *target = json_string_value(json_object_get(data, "target"));
    CLEANUP(freep) char *text = NULL;

    if (!target || asprintf(&text, "%s%s%s", ns ? ns : "", ns ? "::" : "", target) < 0)
        return complain("%s: not a link of RFC 11", d->pending.key), -1;
    if (entry_begin(d, AE_IFLNK, last) < 0)
        return -1;
    d->la->archive_entry_set_symlink(d->entry, text);
    entry_digest_begin(&d->pending.digest, 'l', d->pending.key);
    digest_stream_add(&d->pending.digest, text, strlen(text));
    return entry_end(d);
}

static int write_empty(struct dump *d, bool last)
{
    if (entry_begin(d, AE_IFDIR, last) < 0)
        return -1;
    entry_digest_begin(&d->pending.digest, 'd', d->pending.key);
    return entry_end(d);
}

static int write_pending(struct dump *d, bool last)
{
    struct pending *p = &d->pending;
    int rc = 0;

    if (!p->key)
        return 0;
    if (d->verbose)
        fprintf(stderr, "%s\n", p->key);
    if (treeobj_is_type(p->treeobj, "symlink"))
        rc = write_symlink(d, last);
    else if (treeobj_is_type(p->treeobj, "dir"))
        rc = write_empty(d, last);
    else
        rc = write_value(d, last);
    pending_deinit(p);
    return rc;
}

static int on_key(const char *key, json_t *treeobj, void *arg)
{
    struct dump *d = arg;
    int rc = 0;

    if (write_pending(d, false) < 0)
        return -1;
    if (!(d->pending.key = strdup(key)))
        return complain("out of memory"), -1;
    d->pending.treeobj = json_incref(treeobj);
    if (treeobj_is_type(treeobj, "val") || treeobj_is_type(treeobj, "valref"))
        rc = measure_value(d, &d->pending);
    if (rc == -EIO && d->walk.skip_unreadable) {
        complain("left out %s", key);
        d->walk.unreadable++;
        pending_deinit(&d->pending);
        return 0;
    }
    d->count++;
    if (!d->quiet && !d->verbose && d->count % PROGRESS_STEP == 0)
        fprintf(stderr, "%zu keys\n", d->count);
    return rc;
}

/* --- the file */

static const char *filter_of(const char *path)
{
    static const struct {
        const char *end, *filter;
    } filters[] = {
        { ".gz", "gzip" }, { ".tgz", "gzip" }, { ".bz2", "bzip2" },
        { ".xz", "xz" },   { ".zst", "zstd" }, { ".lz4", "lz4" },
    };
    size_t len = strlen(path);

    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        size_t n = strlen(filters[i].end);

        if (len > n && strcmp(path + len - n, filters[i].end) == 0)
            return filters[i].filter;
    }
    return NULL;
}

static int write_archive(struct dump *d, const char *path, const char *rootref)
{
    const char *filter = filter_of(path);

    if (d->la->archive_write_set_format_pax_restricted(d->a) < ARCHIVE_WARN ||
        d->la->archive_write_set_options(d->a, "xattrheader=SCHILY") < ARCHIVE_WARN ||
        (filter && d->la->archive_write_add_filter_by_name(d->a, filter) < ARCHIVE_WARN) ||
        d->la->archive_write_set_bytes_in_last_block(d->a, 1) < ARCHIVE_WARN ||
        d->la->archive_write_open(d->a, d, NULL, on_write, NULL) < ARCHIVE_WARN)
        return archive_fail(d, path);
    if (tree_walk(&d->walk, rootref) < 0 || write_pending(d, true) < 0)
        return -1;
    return d->la->archive_write_close(d->a) < ARCHIVE_WARN || d->write_errno ? archive_fail(d, path)
                                                                             : 0;
}

static int dump_to(struct dump *d, int fd, const char *path, const char *rootref)
{
    int rc = -1;

    d->now = time(NULL);
    d->path = path;
    d->fd = fd;
    d->a = d->la->archive_write_new();
    d->entry = d->la->archive_entry_new();
    if (d->a && d->entry)
        rc = write_archive(d, path, rootref);
    else
        complain("out of memory");
    pending_deinit(&d->pending);
    d->la->archive_entry_free(d->entry);
    if (d->a)
        (void)d->la->archive_write_free(d->a);
    return rc;
}

/* What a signal that ends us takes along. */
static char *volatile unfinished;

static void on_signal(int signum)
{
    if (unfinished)
        (void)unlink(unfinished);
    (void)raise(signum); /* SA_RESETHAND: now it ends us */
}

/* As it was given to us: nohup(1) lets us ignore one. */
static void watch_signals(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    const struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
    struct sigaction old;

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &sa, NULL);
}

/* Under another name until it is whole. */
static int dump_file(struct dump *d, const char *path, const char *rootref)
{
    CLEANUP(freep) char *temporary = NULL;
    int fd, rc;

    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        return complain("out of memory"), -1;
    if ((fd = mkostemp(temporary, O_CLOEXEC)) < 0)
        return complain("cannot create %s: %s", path, strerror(errno)), -1;
    unfinished = temporary;
    watch_signals();
    rc = dump_to(d, fd, path, rootref);
    if (rc == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0)) {
        complain("cannot write %s: %s", path, strerror(errno));
        rc = -1;
    }
    (void)close(fd);
    if (rc < 0)
        (void)unlink(temporary);
    unfinished = NULL;
    return rc;
}

static int dump_anywhere(struct dump *d, const char *path, const char *rootref)
{
    struct stat st;
    int fd, rc;

    if (strcmp(path, "-") == 0)
        return dump_to(d, STDOUT_FILENO, path, rootref);
    if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
        return dump_file(d, path, rootref);
    if ((fd = open(path, O_WRONLY | O_CLOEXEC)) < 0)
        return complain("cannot open %s: %s", path, strerror(errno)), -1;
    rc = dump_to(d, fd, path, rootref);
    (void)close(fd);
    return rc;
}

/* --- the command */

/* So that no collection removes what is being read. Without an answer it is read as long as it is
 * there. */
static flux_future_t *hold(flux_t *h, const char *rootref)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc_pack(h, "kvs.hold", FLUX_NODEID_ANY, FLUX_RPC_STREAMING, "{s:s}",
                                     "rootref", rootref);

    if (f)
        (void)flux_rpc_get(f, NULL);
    return TAKE(f);
}

static int get_root(flux_t *h, char ret_ref[BLOBREF_STRING_SIZE])
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_getroot(h, KVS_PRIMARY_NAMESPACE, 0);
    const char *ref;

    if (!f || flux_kvs_getroot_get_blobref(f, &ref) < 0)
        return complain_future(f, "cannot get the root"), -1;
    (void)snprintf(ret_ref, BLOBREF_STRING_SIZE, "%s", ref);
    return 0;
}

/* What the content store has recorded as the root. */
static int get_checkpoint(flux_t *h, char ret_ref[BLOBREF_STRING_SIZE])
{
    CLEANUP(json_decrefp) json_t *answer = client_call(h, "content.roots", NULL, "get the root");
    const json_t *o;
    size_t i;

    json_array_foreach (json_object_get(answer, "roots"), i, o) {
        const char *ns = json_string_value(json_object_get(o, "ns"));
        const char *ref = json_string_value(json_object_get(json_object_get(o, "root"), "rootref"));

        if (ns && strcmp(ns, KVS_PRIMARY_NAMESPACE) == 0 && ref) {
            (void)snprintf(ret_ref, BLOBREF_STRING_SIZE, "%s", ref);
            return 0;
        }
    }
    if (answer)
        complain("the content store has no root of the key-value store");
    return -1;
}

static int run_dump(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *held = NULL;
    struct dump d = {
        .walk = { .fn = on_key,
                  .flags = cmdline_has(c, "no-cache") ? CONTENT_FLAG_CACHE_BYPASS : 0,
                  .skip_unreadable = cmdline_has(c, "ignore-failed-read") },
        .verbose = cmdline_has(c, "verbose"),
        .quiet = cmdline_has(c, "quiet"),
    };
    char rootref[BLOBREF_STRING_SIZE];

    if (refuse_both(c, "verbose", "quiet") < 0 || !(d.la = archive_library()) ||
        !(h = client_open()))
        return EXIT_FAILURE;
    d.walk.h = h;
    d.walk.arg = &d;
    if ((cmdline_has(c, "checkpoint") ? get_checkpoint(h, rootref) : get_root(h, rootref)) < 0)
        return EXIT_FAILURE;
    if (!cmdline_has(c, "checkpoint"))
        held = hold(h, rootref);
    if (dump_anywhere(&d, c->argv[0], rootref) < 0)
        return EXIT_FAILURE;
    if (!d.quiet)
        fprintf(stderr, "archived %zu keys\n", d.count);
    if (d.walk.unreadable > 0)
        complain("%zu blobs could not be read: what they held is missing", d.walk.unreadable);
    return EXIT_SUCCESS;
}

static const struct option dump_options[] = {
    { 'v', "verbose", NULL, "List the keys" },
    { 'q', "quiet", NULL, "Print nothing but errors" },
    { 0, "checkpoint", NULL, "Take the root that the content store has recorded" },
    { 0, "no-cache", NULL, "Read past the cache of the content store" },
    { 0, "ignore-failed-read", NULL, "Leave out what cannot be read" },
    { 0 },
};

const struct command cmd_dump[] = {
    { "dump", "OUTFILE", "Archive the key-value store", dump_options, 1, 1, 0, run_dump },
    { 0 },
};
