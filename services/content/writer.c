/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The file is PATH.part until it is complete and on the disk. It never replaces one: a backup over
 * an older one would leave neither when it fails. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/errorx.h"
#include "content/segment.h"
#include "content/store.h"
#include "content/writer.h"

struct writer {
    const char *path;
    char *part;
    enum digest_algorithm hash;
    struct store *st;
    size_t batch_bytes;
    bool end;
    flux_error_t error;
};

#define BATCH_BYTES (16u << 20)

static int fail_store(struct writer *w, int rc)
{
    return errorx_fail(&w->error, -rc, "%s: %s", w->path, store_strerror(w->st));
}

static int read_exactly(void *buf, size_t size)
{
    return fread(buf, 1, size, stdin) == size ? 0 : -EPIPE;
}

static int put_blobs(struct writer *w, const struct change *ch, const json_t *ages)
{
    const char *p = ch->data;
    int rc;

    for (size_t i = 0; i < change_nblobs(ch); i++) {
        size_t size = change_blob_size(ch, i);
        const json_int_t stored = json_integer_value(json_array_get(ages, i));
        uint8_t digest[DIGEST_SIZE];

        digest_compute(w->hash, size ? p : "", size, digest);
        if ((rc = store_put_blob(w->st, digest, p, size)) < 0 ||
            (stored > 0 && (rc = store_set_loose(w->st, digest, stored)) < 0))
            return fail_store(w, rc);
        p += size;
    }
    w->batch_bytes += ch->data_size;
    if (w->batch_bytes < BATCH_BYTES)
        return 0;
    w->batch_bytes = 0;
    if ((rc = store_commit(w->st)) < 0 || (rc = store_begin(w->st)) < 0)
        return fail_store(w, rc);
    return 0;
}

static int put_names(struct writer *w, const json_t *roots, json_t *checkpoints)
{
    const char *key;
    json_t *o;
    size_t i;
    int rc = 0;

    json_array_foreach (roots, i, o) {
        CLEANUP(freep) char *text = json_dumps(json_object_get(o, "root"), JSON_COMPACT);

        if (rc == 0)
            rc = text ? store_set_root(w->st, json_string_value(json_object_get(o, "ns")), text)
                      : -ENOMEM;
    }
    json_object_foreach (checkpoints, key, o) {
        if (rc == 0 && json_is_string(o))
            rc = store_set_checkpoint(w->st, key, json_string_value(o));
    }
    return rc < 0 ? fail_store(w, rc) : 0;
}

static int take_frame(struct writer *w)
{
    CLEANUP(json_decrefp) json_t *header = NULL;
    CLEANUP(freep) void *buf = NULL;
    struct change ch;
    uint32_t size;
    int rc;

    if (read_exactly(&size, sizeof(size)) < 0 || !(buf = malloc((size_t)ntohl(size) + 1)) ||
        read_exactly(buf, ntohl(size)) < 0)
        return errorx_fail(&w->error, EPIPE, "what is to be written ended too early");
    if ((rc = change_decode(buf, ntohl(size), UINT32_MAX, &ch, &header, &w->error)) < 0 ||
        (rc = put_blobs(w, &ch, json_object_get(header, "ages"))) < 0)
        return rc;
    w->end = json_is_true(json_object_get(header, "end"));
    return w->end ? put_names(w, ch.roots, json_object_get(header, "checkpoints")) : 0;
}

static int write_all(struct writer *w)
{
    const struct store_params params = { .path = w->part,
                                         .sync = STORE_SYNC_NORMAL,
                                         .hash = w->hash };
    int rc = store_open(&params, &w->st, &w->error);

    if (rc < 0)
        return rc;
    if ((rc = store_begin(w->st)) < 0)
        return fail_store(w, rc);
    while (rc == 0 && !w->end)
        rc = take_frame(w);
    if (rc == 0 && ((rc = store_commit(w->st)) < 0 || (rc = store_settle(w->st)) < 0))
        rc = fail_store(w, rc);
    w->st = store_close(w->st);
    return rc;
}

static int publish(struct writer *w)
{
    CLEANUP(closep) int fd = open(w->part, O_RDWR | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0 || link(w->part, w->path) < 0 ||
        segment_io_real.sync_directory(w->path) < 0)
        return errorx_fail(&w->error, errno, "%s: %s", w->path, strerror(errno));
    return 0;
}

static int run(struct writer *w)
{
    int rc;

    if (access(w->path, F_OK) == 0)
        return errorx_fail(&w->error, EEXIST, "%s is there already", w->path);
    (void)unlink(w->part);
    rc = write_all(w);
    return rc < 0 ? rc : publish(w);
}

int writer_run(const char *path, const char *hash)
{
    struct writer w = { .path = path };
    int rc;

    if (digest_algorithm_parse(hash, &w.hash) < 0)
        rc = errorx_fail(&w.error, EINVAL, "%s is no hash", hash);
    else if (asprintf(&w.part, "%s.part", path) < 0)
        return EXIT_FAILURE;
    else
        rc = run(&w);
    store_close(w.st);
    if (w.part)
        (void)unlink(w.part);
    free(w.part);
    if (rc < 0)
        (void)fprintf(stderr, "flux-content: %s\n", w.error.text);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
