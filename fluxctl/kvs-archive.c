/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What dump and restore share. */
#include "kvs-archive.h"

#include <dlfcn.h>
#include <string.h>

#include "client.h"

#define ARCHIVE_SONAME "libarchive.so.13"

const struct archive_library *archive_library(void)
{
    static struct archive_library library;
    const struct {
        const char *name;
        void *where;
    } symbols[] = {
#define ARCHIVE_SYMBOL(name) { #name, &library.name },
        ARCHIVE_FUNCTIONS(ARCHIVE_SYMBOL)
#undef ARCHIVE_SYMBOL
    };
    void *handle = dlopen(ARCHIVE_SONAME, RTLD_NOW | RTLD_LOCAL); /* kept until the end */

    for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
        void *symbol = handle ? dlsym(handle, symbols[i].name) : NULL;

        if (!symbol) {
            complain("cannot use libarchive: %s", dlerror());
            return NULL;
        }
        memcpy(symbols[i].where, &symbol, sizeof(symbol));
    }
    return &library;
}

void entry_digest_begin(struct digest_stream *ds, char type, const char *key)
{
    digest_stream_begin(ds, DIGEST_BLAKE2B);
    digest_stream_add(ds, &type, 1);
    digest_stream_add(ds, key, strlen(key) + 1);
}

void entry_digest_end(struct digest_stream *ds, char ret_ref[BLOBREF_STRING_SIZE])
{
    uint8_t digest[DIGEST_SIZE];

    digest_stream_end(ds, digest);
    blobref_format(DIGEST_BLAKE2B, digest, ret_ref);
}
