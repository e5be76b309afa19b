/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl content: blobs by their digest. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "families.h"

#define STDIN_MAX (1ull << 30)

static int read_stdin(char **ret, size_t *ret_size)
{
    char *data = NULL;
    size_t size = 0, cap = 0;
    ssize_t n;

    do {
        if (size == cap) {
            char *p = realloc(data, cap = cap ? cap * 2 : 65536);

            if (!p) {
                free(data);
                return complain("out of memory");
            }
            data = p;
        }
        n = read(STDIN_FILENO, data + size, cap - size);
        size += n > 0 ? (size_t)n : 0;
    } while (n > 0 && size <= STDIN_MAX);
    if (n < 0 || size > STDIN_MAX) {
        free(data);
        return n < 0 ? complain("cannot read standard input: %s", strerror(errno))
                     : complain("standard input has more than 1 GiB");
    }
    *ret = data;
    *ret_size = size;
    return EXIT_SUCCESS;
}

static int flags_of(const struct cmdline *c)
{
    return cmdline_has(c, "bypass-cache") ? CONTENT_FLAG_CACHE_BYPASS : 0;
}

static int run_store(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(freep) char *data = NULL;
    const char *blobref;
    size_t size = 0;

    if (read_stdin(&data, &size) != EXIT_SUCCESS || !(h = client_open()))
        return EXIT_FAILURE;
    f = flux_content_store(h, data, size, flags_of(c));
    if (!f || flux_content_store_get(f, &blobref) < 0)
        return complain_future(f, "cannot store the blob");
    puts(blobref);
    return EXIT_SUCCESS;
}

static int load_one(flux_t *h, const char *blobref, int flags)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_content_load(h, blobref, flags);
    const void *data;
    size_t len;

    if (!f && errno == EINVAL)
        return complain("'%s' is not a blobref: blake2b- or sha256- and 64 hexadecimal digits",
                        blobref);
    if (!f || flux_content_load_get(f, &data, &len) < 0)
        return complain_future(f, "cannot load %s", blobref);
    fwrite(data, 1, len, stdout);
    return EXIT_SUCCESS;
}

static int run_load(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    int status = h ? EXIT_SUCCESS : EXIT_FAILURE;

    for (int i = 0; h && i < c->argc; i++)
        status |= load_one(h, c->argv[i], flags_of(c));
    return status;
}

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

static const struct option options[] = {
    { 'b', "bypass-cache", NULL, "Go to the backing store" },
    { 0 },
};

const struct command cmd_content[] = {
    { "content dropcache", NULL, "Drop what is cached and stored", NULL, 0, 0, 0, run_dropcache },
    { "content flush", NULL, "Store what is not yet stored", NULL, 0, 0, 0, run_flush },
    { "content load", "BLOBREF...", "Print blobs", options, 1, -1, 0, run_load },
    { "content store", NULL, "Store standard input and print its blobref", options, 0, 0, 0,
      run_store },
    { 0 },
};
