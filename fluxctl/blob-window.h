/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Many blobs one after the other, stored or loaded with a few requests under way, so that memory
 * does not grow with their number. They are answered in order. */
#ifndef FLUXCTL_BLOB_WINDOW_H
#define FLUXCTL_BLOB_WINDOW_H

#include <sys/types.h>

#include <flux/core.h>

#include "base/digest.h"

#define BLOB_WINDOW_MAX 64

struct blob_window {
    flux_t *h;
    int flags; /* of flux_content_load() and flux_content_store() */
    /* The next blob that was stored: its blobref. Or that was loaded: its bytes. EXIT_SUCCESS, or
     * what ends all this. */
    int (*on_stored)(const char *blobref, void *arg);
    int (*on_loaded)(const void *data, size_t size, void *arg);
    void *arg;

    struct {
        flux_future_t *f;
        char blobref[BLOBREF_STRING_SIZE]; /* "": it is stored */
    } slots[BLOB_WINDOW_MAX];
    int first, count;
    size_t last_size; /* what to expect of the next one */
};

/* data is lent until this returns. All: EXIT_SUCCESS, or EXIT_FAILURE after complaining, or what a
 * callback has returned. */
int blob_window_store(struct blob_window *w, const void *data, size_t size);
int blob_window_load(struct blob_window *w, const char *blobref);
/* Wait for the rest. */
int blob_window_finish(struct blob_window *w);
void blob_window_deinit(struct blob_window *w);

/* Fills buf, or less at the end of standard input only. -1 after complaining. */
ssize_t blob_read_stdin(void *buf, size_t size);

#endif
