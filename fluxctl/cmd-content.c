/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl content: blobs by their digest. What is loaded or stored in several blobs passes through
 * with a few of them in memory. */
#include <errno.h>
#include <string.h>

#include "base/number.h"
#include "blob-window.h"
#include "client.h"
#include "content-admin.h"
#include "families.h"

#define STDIN_MAX (1ull << 30)

static int flags_of(const struct cmdline *c)
{
    return cmdline_has(c, "bypass-cache") ? CONTENT_FLAG_CACHE_BYPASS : 0;
}

/* --- store */

static int print_ref(const char *blobref, void *arg)
{
    puts(blobref);
    return EXIT_SUCCESS;
}

static int store_chunks(flux_t *h, size_t chunk, int flags)
{
    CLEANUP(blob_window_deinit)
    struct blob_window w = { .h = h, .flags = flags, .on_stored = print_ref };
    CLEANUP(freep) char *data = malloc(chunk);
    ssize_t n = (ssize_t)chunk;

    if (!data)
        return complain("out of memory");
    for (bool first = true; n == (ssize_t)chunk; first = false) {
        if ((n = blob_read_stdin(data, chunk)) < 0 ||
            ((n > 0 || first) && blob_window_store(&w, data, (size_t)n) != EXIT_SUCCESS))
            return EXIT_FAILURE;
    }
    return blob_window_finish(&w);
}

/* All of it, up to so many bytes. */
static int read_stdin(size_t limit, char **ret, size_t *ret_size)
{
    CLEANUP(freep) char *data = NULL;
    size_t size = 0, cap = 32768;
    ssize_t n;

    do {
        char *p = realloc(data, cap = cap * 2 < limit ? cap * 2 : limit);

        if (!p)
            return complain("out of memory");
        data = p;
        if ((n = blob_read_stdin(data + size, cap - size)) < 0)
            return EXIT_FAILURE;
        size += (size_t)n;
    } while (size == cap && cap < limit);
    *ret = TAKE(data);
    *ret_size = size;
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

static int write_blob(const void *data, size_t size, void *arg)
{
    if (fwrite(data, 1, size, stdout) != size)
        output_fail();
    return EXIT_SUCCESS;
}

static int load_listed(struct blob_window *w)
{
    char line[256];

    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, " \t\r\n")] = '\0';
        if (*line && blob_window_load(w, line) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    return ferror(stdin) ? complain("cannot read standard input: %s", strerror(errno))
                         : EXIT_SUCCESS;
}

static int run_load(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(blob_window_deinit)
    struct blob_window w = { .h = h, .flags = flags_of(c), .on_loaded = write_blob };
    int status = EXIT_SUCCESS;

    if (!h)
        return EXIT_FAILURE;
    if (c->argc == 0)
        status = load_listed(&w);
    for (int i = 0; status == EXIT_SUCCESS && i < c->argc; i++)
        status = blob_window_load(&w, c->argv[i]);
    return status == EXIT_SUCCESS ? blob_window_finish(&w) : status;
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
    { "content info", NULL, "Print the size of the store", NULL, 0, 0, 0, content_admin_info },
    { "content load", "[BLOBREF...]", "Print blobs", load_options, 0, -1, 0, run_load },
    { "content repair", NULL, "Leave behind what is damaged", admin_options, 0, 0, 0,
      content_admin_repair },
    { "content store", NULL, "Store standard input and print its blobref", store_options, 0, 0, 0,
      run_store },
    { 0 },
};
