/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Of small blobs many are under way, of large ones few: as large as the one before. */
#include "blob-window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

#define LARGE_MAX 8 /* requests of blobs that are not small */
#define SMALL     65536

static bool is_full(const struct blob_window *w)
{
    return w->count >= (w->last_size <= SMALL ? BLOB_WINDOW_MAX : LARGE_MAX);
}

/* The oldest one. */
static int take(struct blob_window *w)
{
    const char *blobref = w->slots[w->first].blobref;
    CLEANUP(flux_future_destroyp) flux_future_t *f = w->slots[w->first].f;
    const char *stored;
    const void *data;
    size_t size;

    w->first = (w->first + 1) % BLOB_WINDOW_MAX;
    w->count--;
    if (!*blobref) {
        if (flux_content_store_get(f, &stored) < 0)
            return complain_future(f, "cannot store the blob");
        return w->on_stored(stored, w->arg);
    }
    if (flux_content_load_get(f, &data, &size) < 0)
        return complain_future(f, "cannot load %s", blobref);
    w->last_size = size;
    return w->on_loaded(data, size, w->arg);
}

static int make_room(struct blob_window *w)
{
    int status = EXIT_SUCCESS;

    while (status == EXIT_SUCCESS && is_full(w))
        status = take(w);
    return status;
}

static void put(struct blob_window *w, flux_future_t *f, const char *blobref)
{
    const int i = (w->first + w->count++) % BLOB_WINDOW_MAX;

    w->slots[i].f = f;
    (void)snprintf(w->slots[i].blobref, sizeof(w->slots[i].blobref), "%s", blobref);
}

int blob_window_store(struct blob_window *w, const void *data, size_t size)
{
    flux_future_t *f;
    int status;

    w->last_size = size;
    if ((status = make_room(w)) != EXIT_SUCCESS)
        return status;
    if (!(f = flux_content_store(w->h, data, size, w->flags)))
        return complain("cannot store the blob: %s", strerror(errno));
    put(w, f, "");
    return EXIT_SUCCESS;
}

int blob_window_load(struct blob_window *w, const char *blobref)
{
    flux_future_t *f;
    int status;

    if (w->last_size == 0 && w->count == 0)
        w->last_size = SIZE_MAX; /* not known yet */
    if ((status = make_room(w)) != EXIT_SUCCESS)
        return status;
    if (!(f = flux_content_load(w->h, blobref, w->flags)))
        return errno == EINVAL ? complain("'%s' is not a blobref: blake2b- or sha256- and 64 "
                                          "hexadecimal digits",
                                          blobref)
                               : complain("cannot load %s: %s", blobref, strerror(errno));
    put(w, f, blobref);
    return EXIT_SUCCESS;
}

int blob_window_finish(struct blob_window *w)
{
    int status = EXIT_SUCCESS;

    while (status == EXIT_SUCCESS && w->count > 0)
        status = take(w);
    return status;
}

void blob_window_deinit(struct blob_window *w)
{
    for (; w->count > 0; w->count--) {
        flux_future_destroy(w->slots[w->first].f);
        w->first = (w->first + 1) % BLOB_WINDOW_MAX;
    }
}

ssize_t blob_read_stdin(void *buf, size_t size)
{
    size_t used = 0;
    ssize_t n = 1;

    while (n > 0 && used < size) {
        n = read(STDIN_FILENO, (char *)buf + used, size - used);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            used += (size_t)n;
    }
    if (n < 0) {
        complain("cannot read standard input: %s", strerror(errno));
        return -1;
    }
    return (ssize_t)used;
}
