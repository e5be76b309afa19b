/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A file of the journal, as a crash or a sick disk may leave it. What is found in it must lie
 * within it, and the blobs be those that the entries name, whatever the bytes are. */
#include <string.h>
#include <unistd.h>
#include "content/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct segment *s, size_t size)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct segment_entry *e = &s->entries[i];
        uint8_t digest[DIGEST_SIZE];
        CLEANUP(freep) void *buf = malloc(e->size + 1);

        if (e->offset > size || e->size > size - e->offset || segment_read(s, e, buf) < 0)
            abort();
        digest_compute(DIGEST_BLAKE2B, buf, e->size, digest);
        if (memcmp(digest, e->digest, DIGEST_SIZE) != 0 || !segment_find(s, digest))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/fuzz-journal.XXXXXX";
    struct segment_scan scan;
    struct segment *s = NULL;
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)close(fd);
    if (segment_open(path, 1, DIGEST_BLAKE2B, &scan, &s) == 0) {
        if (s->end > size || scan.dropped > size)
            abort();
        check(s, size);
    }
    segment_close(s);
    (void)unlink(path);
    return 0;
}
