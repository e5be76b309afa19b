/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records: head, payload of content.commit. Numbers are the host's: the file never leaves it.
 *
 * What is in memory (entries, roots, checkpoints) changes only after the record is written, and
 * room for it is made before, so that a record that was written is never forgotten.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "content/segment.h"

#define RECORD_MAGIC 0x31726a66u /* fjr1 */
#define RECORD_CHECK 16
#define TABLE_MIN    1024u

struct record_head {
    uint32_t magic;
    uint32_t prefix; /* bytes of payload before the blobs */
    uint64_t size;   /* of payload */
    uint64_t seq;
    uint8_t check[RECORD_CHECK];
};
#define HEAD_CHECKED offsetof(struct record_head, check)

/* What is to be written, or was read. */
struct record {
    struct record_head head;
    const void *prefix;
    const char *data;
    struct segment_entry *entries; /* offsets count from the beginning of data */
    size_t count;
};

static ssize_t real_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return pwritev(fd, iov, count, offset);
}

const struct segment_io segment_io_real = { .pwritev = real_pwritev, .fdatasync = fdatasync };

/* --- in memory */

static uint32_t slot_of(const struct segment *s, const uint8_t *digest)
{
    uint32_t hash;

    memcpy(&hash, digest, sizeof(hash));
    return hash & (s->table_size - 1);
}

static void table_insert(struct segment *s, uint32_t index)
{
    uint32_t slot = slot_of(s, s->entries[index].digest);

    while (s->table[slot])
        slot = (slot + 1) & (s->table_size - 1);
    s->table[slot] = index + 1;
}

static int table_reserve(struct segment *s, uint32_t count)
{
    uint32_t size = s->table_size ? s->table_size : TABLE_MIN;
    uint32_t *table;

    while (size < 2 * count)
        size *= 2;
    if (size == s->table_size)
        return 0;
    if (!(table = calloc(size, sizeof(table[0]))))
        return -ENOMEM;
    free(s->table);
    s->table = table;
    s->table_size = size;
    for (uint32_t i = 0; i < s->count; i++)
        table_insert(s, i);
    return 0;
}

static int entries_reserve(struct segment *s, size_t more)
{
    size_t need = s->count + more;

    if (need > UINT32_MAX / 4)
        return -ENOSPC;
    if (need > s->cap) {
        size_t cap = need < 512 ? 512 : 2 * need;
        struct segment_entry *entries = realloc(s->entries, cap * sizeof(entries[0]));

        if (!entries)
            return -ENOMEM;
        s->entries = entries;
        s->cap = (uint32_t)cap;
    }
    return table_reserve(s, (uint32_t)need);
}

const struct segment_entry *segment_find(const struct segment *s, const uint8_t digest[DIGEST_SIZE])
{
    uint32_t slot;

    if (s->count == 0)
        return NULL;
    for (slot = slot_of(s, digest); s->table[slot]; slot = (slot + 1) & (s->table_size - 1)) {
        const struct segment_entry *e = &s->entries[s->table[slot] - 1];

        if (memcmp(e->digest, digest, DIGEST_SIZE) == 0)
            return e;
    }
    return NULL;
}

static int remember_names(struct segment *s, const json_t *roots, const char *key,
                          const char *value)
{
    const json_t *o;
    size_t i;

    json_array_foreach (roots, i, o) {
        if (json_object_set(s->roots, json_string_value(json_object_get(o, "ns")),
                            json_object_get(o, "root")) < 0)
            return -ENOMEM;
    }
    return key && json_object_set_new(s->checkpoints, key, json_string(value)) < 0 ? -ENOMEM : 0;
}

/* The record at s->end is written: it counts from now on. */
static void remember_record(struct segment *s, const struct record *r)
{
    uint64_t data = s->end + sizeof(r->head) + r->head.prefix;

    for (size_t i = 0; i < r->count; i++) {
        if (segment_find(s, r->entries[i].digest))
            continue;
        s->entries[s->count] = r->entries[i];
        s->entries[s->count].offset += data;
        table_insert(s, s->count++);
    }
    s->end += sizeof(r->head) + r->head.size;
    s->seq++;
}

/* --- records */

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
        pos += size;
    }
    return 0;
}

static int compute_check(const struct record *r, uint8_t check[RECORD_CHECK])
{
    size_t size = HEAD_CHECKED + r->head.prefix + r->count * DIGEST_SIZE;
    CLEANUP(freep) char *buf = malloc(size);
    uint8_t digest[DIGEST_SIZE];
    char *p = buf;

    if (!buf)
        return -ENOMEM;
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

static int write_record(struct segment *s, const struct record *r)
{
    size_t data_size = r->head.size - r->head.prefix;
    struct iovec iov[] = { { (void *)&r->head, sizeof(r->head) },
                           { (void *)r->prefix, r->head.prefix },
                           { (void *)r->data, data_size } };
    int count = data_size > 0 ? 3 : 2;
    size_t left = sizeof(r->head) + r->head.size;
    struct iovec *p = iov;
    uint64_t offset = s->end;

    while (left > 0) {
        ssize_t n = s->io->pwritev(s->fd, p, count, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && errno != ENOSPC && errno != EDQUOT && errno != EFBIG ? -EIO : -ENOSPC;
        offset += (size_t)n;
        left -= (size_t)n;
        while (count > 0 && (size_t)n >= p->iov_len) {
            n -= (ssize_t)p->iov_len;
            p++;
            count--;
        }
        if (count > 0) {
            p->iov_base = (char *)p->iov_base + n;
            p->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int segment_append(struct segment *s, enum digest_algorithm hash, struct change *ch)
{
    CLEANUP(freep) void *prefix = NULL;
    CLEANUP(freep) struct segment_entry *entries = NULL;
    struct record r = { .head = { .magic = RECORD_MAGIC, .seq = s->seq }, .data = ch->data };
    size_t prefix_size = ch->raw_size - ch->data_size;
    int rc;

    if (!ch->raw && (rc = change_encode(ch, &prefix, &prefix_size)) < 0)
        return rc;
    r.prefix = ch->raw ? ch->raw : prefix;
    r.head.prefix = (uint32_t)prefix_size;
    r.head.size = prefix_size + ch->data_size;
    rc = digest_blobs(&r, hash, ch);
    entries = r.entries;
    if (rc < 0 || (rc = compute_check(&r, r.head.check)) < 0 ||
        (rc = entries_reserve(s, r.count)) < 0)
        return rc;
    if ((rc = write_record(s, &r)) < 0) {
        /* What is left of it would be an unfinished record at the end, and is overwritten. */
        return ftruncate(s->fd, (off_t)s->end) < 0 ? -EIO : rc;
    }
    if (r.count > 0)
        memcpy(ch->digest, r.entries[r.count - 1].digest, DIGEST_SIZE);
    remember_record(s, &r);
    return remember_names(s, ch->roots, ch->checkpoint_key, ch->checkpoint_value) < 0 ? -EIO : 0;
}

int segment_sync(struct segment *s)
{
    return s->io->fdatasync(s->fd) < 0 ? -EIO : 0;
}

/* --- files */

static int segment_new(const char *path, uint64_t number, int flags, struct segment **ret)
{
    CLEANUP(segment_closep) struct segment *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->fd = -EBADF;
    s->number = number;
    s->io = &segment_io_real;
    if (!(s->path = strdup(path)) || !(s->roots = json_object()) ||
        !(s->checkpoints = json_object()))
        return -ENOMEM;
    if ((s->fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return -errno;
    *ret = TAKE(s);
    return 0;
}

int segment_create(const char *path, uint64_t number, const struct segment_io *io,
                   struct segment **ret)
{
    int rc = segment_new(path, number, O_CREAT | O_EXCL, ret);

    if (rc == 0)
        (*ret)->io = io;
    return rc;
}

struct segment *segment_close(struct segment *s)
{
    if (s) {
        closep(&s->fd);
        json_decref(s->checkpoints);
        json_decref(s->roots);
        free(s->table);
        free(s->entries);
        free(s->path);
        free(s);
    }
    return NULL;
}

static int read_all(int fd, void *buf, size_t size, uint64_t offset)
{
    for (size_t pos = 0; pos < size;) {
        ssize_t n = pread(fd, (char *)buf + pos, size - pos, (off_t)(offset + pos));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        pos += (size_t)n;
    }
    return 0;
}

int segment_read(const struct segment *s, const struct segment_entry *e, void *buf)
{
    return read_all(s->fd, buf, e->size, e->offset);
}

/* Where a record of this size would end; 0: not within the file. */
static uint64_t record_end(const struct record_head *head, uint64_t offset, uint64_t size)
{
    uint64_t room = size - offset - sizeof(*head);

    if (head->magic != RECORD_MAGIC || head->size > room || head->prefix > head->size)
        return 0;
    return offset + sizeof(*head) + head->size;
}

/* Checks a payload that was read against its head and takes what is in it. -EBADMSG. */
static int take_record(struct segment *s, struct record *r, const void *payload,
                       enum digest_algorithm hash)
{
    CLEANUP(json_decrefp) json_t *header = NULL;
    CLEANUP(freep) struct segment_entry *entries = NULL;
    uint8_t check[RECORD_CHECK];
    flux_error_t error;
    struct change ch;
    json_t *cp;
    int rc;

    if ((rc = change_decode(payload, r->head.size, UINT32_MAX, &ch, &header, &error)) < 0 ||
        (const char *)ch.data - (const char *)payload != (ptrdiff_t)r->head.prefix)
        return -EBADMSG;
    r->prefix = payload;
    r->data = ch.data;
    rc = digest_blobs(r, hash, &ch);
    entries = r->entries;
    if (rc < 0 || (rc = compute_check(r, check)) < 0)
        return rc;
    if (memcmp(check, r->head.check, sizeof(check)) != 0)
        return -EBADMSG;
    if ((rc = entries_reserve(s, r->count)) < 0)
        return rc;
    remember_record(s, r);
    cp = json_object_get(header, "checkpoint");
    return remember_names(s, ch.roots, json_string_value(json_object_get(cp, "key")),
                          json_string_value(json_object_get(cp, "value")));
}

/* The record at s->end. 0: taken; -EBADMSG: not whole (*ret_next: where the next one would be, 0:
 * unknown). */
static int scan_record(struct segment *s, uint64_t size, enum digest_algorithm hash,
                       uint64_t *ret_next)
{
    CLEANUP(freep) void *payload = NULL;
    struct record r = { 0 };
    int rc;

    *ret_next = 0;
    if (size - s->end < sizeof(r.head))
        return -EBADMSG;
    if ((rc = read_all(s->fd, &r.head, sizeof(r.head), s->end)) < 0)
        return rc;
    if (r.head.seq != s->seq || !(*ret_next = record_end(&r.head, s->end, size)))
        return -EBADMSG;
    if (!(payload = malloc(r.head.size + 1)))
        return -ENOMEM;
    if ((rc = read_all(s->fd, payload, r.head.size, s->end + sizeof(r.head))) < 0)
        return rc;
    return take_record(s, &r, payload, hash);
}

static int scan(struct segment *s, enum digest_algorithm hash, bool synced,
                struct segment_scan *ret)
{
    uint64_t whole = 0; /* bytes up to the last record that is */
    size_t skipped = 0;
    uint64_t pos = 0;
    struct stat st;
    uint64_t size;

    if (fstat(s->fd, &st) < 0)
        return -errno;
    size = (uint64_t)st.st_size;
    while (pos < size) {
        uint64_t next;
        int rc;

        s->end = pos;
        rc = scan_record(s, size, hash, &next);
        if (rc == 0) {
            ret->damaged += skipped;
            skipped = 0;
            pos = whole = s->end;
        } else if (rc == -EBADMSG && synced && next > 0) {
            skipped++;
            s->seq++;
            pos = next;
        } else if (rc == -EBADMSG) {
            break;
        } else {
            return rc;
        }
    }
    s->end = whole;
    ret->dropped = size - whole;
    return 0;
}

int segment_open(const char *path, uint64_t number, enum digest_algorithm hash, bool synced,
                 struct segment_scan *ret_scan, struct segment **ret)
{
    CLEANUP(segment_closep) struct segment *s = NULL;
    int rc = segment_new(path, number, 0, &s);

    memset(ret_scan, 0, sizeof(*ret_scan));
    if (rc < 0 || (rc = scan(s, hash, synced, ret_scan)) < 0)
        return rc;
    *ret = TAKE(s);
    return 0;
}
