/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl content: blobs by their digest. What is loaded or stored in several blobs passes through
 * with a few of them in memory. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "client.h"
#include "content-admin.h"
#include "families.h"

#define STDIN_MAX (1ull << 30)
/* Requests under way: so many of blobs of up to SMALL bytes, and few of larger ones. */
#define IN_FLIGHT       64
#define IN_FLIGHT_LARGE 8
#define SMALL           65536

static int flags_of(const struct cmdline *c)
{
    return cmdline_has(c, "bypass-cache") ? CONTENT_FLAG_CACHE_BYPASS : 0;
}

/* --- store */

/* Up to so many bytes; fewer only at the end. */
static int read_stdin(size_t limit, char **ret, size_t *ret_size)
{
    char *data = NULL;
    size_t size = 0, cap = 0;
    ssize_t n = 1;

    while (n > 0 && size < limit) {
        if (size == cap) {
            char *p = realloc(data, cap = cap ? cap * 2 : 65536);

            if (!p) {
                free(data);
                return complain("out of memory");
            }
            data = p;
        }
        n = read(STDIN_FILENO, data + size, (cap < limit ? cap : limit) - size);
        size += n > 0 ? (size_t)n : 0;
    }
    if (n < 0) {
        free(data);
        return complain("cannot read standard input: %s", strerror(errno));
    }
    *ret = data;
    *ret_size = size;
    return EXIT_SUCCESS;
}

/* A few requests under way; the oldest is answered first. */
struct window {
    flux_future_t *futures[IN_FLIGHT];
    const char *names[IN_FLIGHT];
    int first, count;
    size_t last_size; /* of what was answered or is stored: what to expect of the next */
};

static bool window_is_full(const struct window *w)
{
    return w->count >= (w->last_size <= SMALL ? IN_FLIGHT : IN_FLIGHT_LARGE);
}

static int window_print_ref(struct window *w)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = w->futures[w->first];
    const char *blobref;

    w->first = (w->first + 1) % IN_FLIGHT;
    w->count--;
    if (flux_content_store_get(f, &blobref) < 0)
        return complain_future(f, "cannot store the blob");
    puts(blobref);
    return EXIT_SUCCESS;
}

static int window_put(struct window *w, flux_future_t *f, const char *name)
{
    int i = (w->first + w->count++) % IN_FLIGHT;

    w->futures[i] = f;
    w->names[i] = name;
    return EXIT_SUCCESS;
}

static void window_deinit(struct window *w)
{
    while (w->count-- > 0) {
        flux_future_destroy(w->futures[w->first]);
        w->first = (w->first + 1) % IN_FLIGHT;
    }
}

static int store_one(flux_t *h, struct window *w, const char *data, size_t size, int flags)
{
    flux_future_t *f;

    w->last_size = size;
    while (window_is_full(w)) {
        if (window_print_ref(w) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    if (!(f = flux_content_store(h, data, size, flags)))
        return complain("cannot store the blob: %s", strerror(errno));
    return window_put(w, f, NULL);
}

static int store_chunks(flux_t *h, size_t chunk, int flags)
{
    CLEANUP(window_deinit) struct window w = { .first = 0 };
    size_t size = chunk;
    bool first = true;

    while (size == chunk) {
        CLEANUP(freep) char *data = NULL;

        if (read_stdin(chunk, &data, &size) != EXIT_SUCCESS)
            return EXIT_FAILURE;
        if ((size > 0 || first) && store_one(h, &w, data, size, flags) != EXIT_SUCCESS)
            return EXIT_FAILURE;
        first = false;
    }
    while (w.count > 0) {
        if (window_print_ref(&w) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int store_whole(flux_t *h, int flags)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(freep) char *data = NULL;
    const char *blobref;
    size_t size = 0;

    if (read_stdin(STDIN_MAX + 1, &data, &size) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    if (size > STDIN_MAX)
        return complain("standard input has more than 1 GiB; --chunksize stores it in parts");
    f = flux_content_store(h, data, size, flags);
    if (!f || flux_content_store_get(f, &blobref) < 0)
        return complain_future(f, "cannot store the blob");
    puts(blobref);
    return EXIT_SUCCESS;
}

static int run_store(const struct cmdline *c)
{
    const char *text = cmdline_string(c, "chunksize", NULL);
    CLEANUP(flux_closep) flux_t *h = NULL;
    uint64_t chunk = 0;

    if (text && (number_parse_size(text, &chunk) < 0 || chunk == 0 || chunk > STDIN_MAX))
        return complain("--chunksize: '%s' is not a number of bytes from 1 to 1G", text);
    if (!(h = client_open()))
        return EXIT_FAILURE;
    (void)flux_attr_get(h, "content.hash"); /* known, it saves the other hash of each blob */
    return text ? store_chunks(h, chunk, flags_of(c)) : store_whole(h, flags_of(c));
}

/* --- load */

static int window_write_blob(struct window *w)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = w->futures[w->first];
    const char *name = w->names[w->first];
    const void *data;
    size_t len;

    w->first = (w->first + 1) % IN_FLIGHT;
    w->count--;
    if (flux_content_load_get(f, &data, &len) < 0)
        return complain_future(f, "cannot load %s", name);
    w->last_size = len;
    return fwrite(data, 1, len, stdout) == len ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int load_one(flux_t *h, struct window *w, const char *blobref, int flags)
{
    flux_future_t *f;

    while (window_is_full(w)) {
        if (window_write_blob(w) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    if (!(f = flux_content_load(h, blobref, flags)))
        return errno == EINVAL ? complain("'%s' is not a blobref: blake2b- or sha256- and 64 "
                                          "hexadecimal digits",
                                          blobref)
                               : complain("cannot load %s: %s", blobref, strerror(errno));
    return window_put(w, f, blobref);
}

/* A list of blobrefs; with fewer than IN_FLIGHT of them lent to the window at a time. */
static int load_listed(flux_t *h, struct window *w, int flags)
{
    static char lines[IN_FLIGHT + 1][256];
    int n = 0;

    while (fgets(lines[n], sizeof(lines[n]), stdin)) {
        lines[n][strcspn(lines[n], " \t\r\n")] = '\0';
        if (lines[n][0] == '\0')
            continue;
        if (load_one(h, w, lines[n], flags) != EXIT_SUCCESS)
            return EXIT_FAILURE;
        n = (n + 1) % (IN_FLIGHT + 1);
    }
    return ferror(stdin) ? complain("cannot read standard input: %s", strerror(errno))
                         : EXIT_SUCCESS;
}

static int run_load(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(window_deinit) struct window w = { .last_size = SIZE_MAX };
    int status = h ? EXIT_SUCCESS : EXIT_FAILURE;

    if (h && c->argc == 0)
        status = load_listed(h, &w, flags_of(c));
    for (int i = 0; status == EXIT_SUCCESS && i < c->argc; i++)
        status = load_one(h, &w, c->argv[i], flags_of(c));
    while (status == EXIT_SUCCESS && w.count > 0)
        status = window_write_blob(&w);
    return status;
}

/* --- the cache */

static int call(const char *topic, const char *what)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *answer = h ? client_call(h, topic, NULL, what) : NULL;

    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_flush(const struct cmdline *c)
{
    return call("content.flush", "flush the cache");
}

static int run_dropcache(const struct cmdline *c)
{
    return call("content.dropcache", "drop the cache");
}

static const struct option load_options[] = {
    { 'b', "bypass-cache", NULL, "Go to the backing store" },
    { 0 },
};

static const struct option store_options[] = {
    { 'b', "bypass-cache", NULL, "Go to the backing store" },
    { 0, "chunksize", "BYTES", "Store blobs of this size, and print a blobref for each" },
    { 0 },
};

static const struct option admin_options[] = {
    { 0, "path", "PATH", "A state directory, or content.sqlite in it, that nothing uses" },
    { 0 },
};

const struct command cmd_content[] = {
    { "content backup", "FILE", "Write a copy of all that is stored", NULL, 1, 1, 0,
      content_admin_backup },
    { "content check", NULL, "Read all that is stored, and say what is damaged", admin_options, 0,
      0, 0, content_admin_check },
    { "content dropcache", NULL, "Drop what is cached and stored", NULL, 0, 0, 0, run_dropcache },
    { "content flush", NULL, "Move what is stored from the journal into the database", NULL, 0, 0,
      0, run_flush },
    { "content load", "[BLOBREF...]", "Print blobs", load_options, 0, -1, 0, run_load },
    { "content repair", NULL, "Leave behind what is damaged", admin_options, 0, 0, 0,
      content_admin_repair },
    { "content store", NULL, "Store standard input and print its blobref", store_options, 0, 0, 0,
      run_store },
    { 0 },
};
