/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Making and checking records. Knows no files. */
#include <errno.h>
#include <string.h>
#include "content/record.h"

#define HEAD_CHECKED offsetof(struct record_head, check)

bool record_key_valid(const uint8_t key[FILE_KEY])
{
    return memcmp(key, key + 1, 3) != 0; /* not four times the same byte */
}

uint32_t record_magic(const uint8_t *key)
{
    uint32_t magic = RECORD_MAGIC_1;

    if (key)
        memcpy(&magic, key, sizeof(magic));
    return magic;
}

bool record_fits(const struct record_head *head, uint32_t magic, uint64_t room)
{
    return head->magic == magic && room >= sizeof(*head) && head->size <= room - sizeof(*head) &&
           head->prefix <= head->size;
}

static int digest_blobs(struct record *r, enum digest_algorithm hash, const struct change *ch)
{
    size_t pos = 0;

    r->count = change_nblobs(ch);
    if (r->count > 0 && !(r->entries = calloc(r->count, sizeof(r->entries[0]))))
        return -ENOMEM;
    for (size_t i = 0; i < r->count; i++) {
        size_t size = change_blob_size(ch, i);

        if (size > UINT32_MAX)
            return -EFBIG;
        digest_compute(hash, size ? r->data + pos : "", size, r->entries[i].digest);
        r->entries[i].offset = pos;
        r->entries[i].size = (uint32_t)size;
        r->entries[i].loose = ch->loose;
        pos += size;
    }
    return 0;
}

static int compute_check(const struct record *r, const uint8_t *key, uint8_t check[RECORD_CHECK])
{
    size_t key_size = key ? FILE_KEY : 0;
    size_t size = key_size + HEAD_CHECKED + r->head.prefix + r->count * DIGEST_SIZE;
    CLEANUP(freep) char *buf = malloc(size);
    uint8_t digest[DIGEST_SIZE];
    char *p = buf;

    if (!buf)
        return -ENOMEM;
    if (key)
        memcpy(p, key, key_size);
    p += key_size;
    memcpy(p, &r->head, HEAD_CHECKED);
    p += HEAD_CHECKED;
    memcpy(p, r->prefix, r->head.prefix);
    p += r->head.prefix;
    for (size_t i = 0; i < r->count; i++, p += DIGEST_SIZE)
        memcpy(p, r->entries[i].digest, DIGEST_SIZE);
    digest_compute(DIGEST_BLAKE2B, buf, size, digest);
    memcpy(check, digest, RECORD_CHECK);
    return 0;
}

int record_encode(struct record *r, const uint8_t *key, enum digest_algorithm hash,
                  const struct change *ch, const void *prefix)
{
    int rc;

    r->prefix = prefix;
    r->data = ch->data;
    rc = digest_blobs(r, hash, ch);
    return rc < 0 ? rc : compute_check(r, key, r->head.check);
}

int record_decode(struct record *r, const uint8_t *key, enum digest_algorithm hash,
                  const void *payload)
{
    uint8_t check[RECORD_CHECK];
    flux_error_t error;
    int rc;

    if (change_decode(payload, r->head.size, UINT32_MAX, &r->change, &r->header, &error) < 0 ||
        (const char *)r->change.data - (const char *)payload != (ptrdiff_t)r->head.prefix)
        return -EBADMSG;
    r->prefix = payload;
    r->data = r->change.data;
    if ((rc = digest_blobs(r, hash, &r->change)) < 0 || (rc = compute_check(r, key, check)) < 0)
        return rc;
    return memcmp(check, r->head.check, sizeof(check)) == 0 ? 0 : -EBADMSG;
}

void record_deinit(struct record *r)
{
    free(r->entries);
    json_decref(r->header);
    memset(r, 0, sizeof(*r));
}
