/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records are written at the end, and searched for when the file is opened.
 *
 * What is in memory (entries, roots, checkpoints) changes only after the record is written, and
 * room for it is made before, so that a record that was written is never forgotten.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "content/segment.h"

#define TABLE_MIN    1024u
#define SEARCH_BYTES (1u << 20)

static ssize_t real_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return pwritev(fd, iov, count, offset);
}

/* So that a new file is in it after a power cut. */
static int real_sync_directory(const char *file)
{
    CLEANUP(freep) char *path = strdup(file);
    CLEANUP(closep) int fd = -EBADF;

    if (!path)
        return -1;
    fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

const struct segment_io segment_io_real = { .pwritev = real_pwritev,
                                            .fdatasync = fdatasync,
                                            .unlink = unlink,
                                            .sync_directory = real_sync_directory };

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

static struct segment_entry *find_entry(const struct segment *s, const uint8_t digest[DIGEST_SIZE])
{
    uint32_t slot;

    if (s->count == 0)
        return NULL;
    for (slot = slot_of(s, digest); s->table[slot]; slot = (slot + 1) & (s->table_size - 1)) {
        struct segment_entry *e = &s->entries[s->table[slot] - 1];

        if (memcmp(e->digest, digest, DIGEST_SIZE) == 0)
            return e;
    }
    return NULL;
}

const struct segment_entry *segment_find(const struct segment *s, const uint8_t digest[DIGEST_SIZE])
{
    return find_entry(s, digest);
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
        struct segment_entry *known = find_entry(s, r->entries[i].digest);

        if (known && known->loose < r->entries[i].loose)
            known->loose = r->entries[i].loose;
        if (known)
            continue;
        s->entries[s->count] = r->entries[i];
        s->entries[s->count].offset += data;
        table_insert(s, s->count++);
    }
    s->end += sizeof(r->head) + r->head.size;
    s->seq++;
}

/* --- writing */

static int write_all(struct segment *s, struct iovec *iov, int count, size_t left)
{
    uint64_t offset = s->end;

    while (left > 0) {
        ssize_t n = s->io->pwritev(s->fd, iov, count, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && errno != ENOSPC && errno != EDQUOT && errno != EFBIG ? -EIO : -ENOSPC;
        offset += (size_t)n;
        left -= (size_t)n;
        while (count > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int write_record(struct segment *s, const struct record *r)
{
    size_t data_size = r->head.size - r->head.prefix;
    struct iovec iov[] = { { (void *)&r->head, sizeof(r->head) },
                           { (void *)r->prefix, r->head.prefix },
                           { (void *)r->data, data_size } };

    return write_all(s, iov, data_size > 0 ? 3 : 2, sizeof(r->head) + r->head.size);
}

static const uint8_t *key_of(const struct segment *s)
{
    return s->keyed ? s->key : NULL;
}

int segment_append(struct segment *s, enum digest_algorithm hash, struct change *ch)
{
    CLEANUP(freep) void *prefix = NULL;
    CLEANUP(record_deinit)
    struct record r = {
        .head = { .magic = record_magic(key_of(s)), .seq = s->seq, .synced = s->synced }
    };
    size_t prefix_size = ch->raw_size - ch->data_size;
    int rc;

    if (!ch->raw && (rc = change_encode(ch, &prefix, &prefix_size)) < 0)
        return rc;
    r.head.prefix = (uint32_t)prefix_size;
    r.head.size = prefix_size + ch->data_size;
    if ((rc = record_encode(&r, key_of(s), hash, ch, ch->raw ? ch->raw : prefix)) < 0 ||
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
    if (s->io->fdatasync(s->fd) < 0)
        return -EIO;
    s->synced = s->seq;
    return 0;
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

static int write_file_head(struct segment *s)
{
    struct file_head head = { .magic = FILE_MAGIC };
    struct iovec iov = { &head, sizeof(head) };

    do {
        if (getrandom(s->key, sizeof(s->key), 0) != sizeof(s->key))
            return -EIO;
    } while (!record_key_valid(s->key));
    memcpy(head.keys[0], s->key, sizeof(s->key));
    memcpy(head.keys[1], s->key, sizeof(s->key));
    s->keyed = true;
    return write_all(s, &iov, 1, sizeof(head));
}

int segment_create(const char *path, uint64_t number, const struct segment_io *io,
                   struct segment **ret)
{
    CLEANUP(segment_closep) struct segment *s = NULL;
    int rc = segment_new(path, number, O_CREAT | O_EXCL, &s);

    if (rc < 0)
        return rc;
    s->io = io;
    if ((rc = write_file_head(s)) < 0) {
        (void)io->unlink(path);
        return rc;
    }
    s->end = sizeof(struct file_head);
    *ret = TAKE(s);
    return 0;
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

/* --- scanning */

struct scanner {
    struct segment *s;
    enum digest_algorithm hash;
    uint64_t size; /* of the file */
    bool asked;    /* durable is known */
    uint32_t durable;
};

/* Looks for a record at pos: -EBADMSG if there is none that is whole. *ret_next, if there might be
 * one: its end. The payload that r lends from is *ret_payload. */
static int read_record(const struct scanner *sc, uint64_t pos, struct record *r, void **ret_payload,
                       uint64_t *ret_next)
{
    const struct segment *s = sc->s;
    int rc;

    *ret_next = 0;
    if (pos > sc->size || sc->size - pos < sizeof(r->head))
        return -EBADMSG;
    if ((rc = read_all(s->fd, &r->head, sizeof(r->head), pos)) < 0)
        return rc;
    if (r->head.seq < s->seq || !record_fits(&r->head, record_magic(key_of(s)), sc->size - pos))
        return -EBADMSG;
    *ret_next = pos + sizeof(r->head) + r->head.size;
    if (!(*ret_payload = malloc(r->head.size + 1)))
        return -ENOMEM;
    if ((rc = read_all(s->fd, *ret_payload, r->head.size, pos + sizeof(r->head))) < 0)
        return rc;
    return record_decode(r, key_of(s), sc->hash, *ret_payload);
}

/* Is there a whole one? Of this sequence number at least; *ret: its head. */
static int probe_record(const struct scanner *sc, uint64_t pos, struct record_head *ret,
                        uint64_t *ret_next)
{
    CLEANUP(record_deinit) struct record r = { 0 };
    CLEANUP(freep) void *payload = NULL;
    int rc = read_record(sc, pos, &r, &payload, ret_next);

    *ret = r.head;
    return rc;
}

/* Where the file has the magic of its records, at pos or later; sc->size: nowhere. */
static int find_magic(const struct scanner *sc, uint64_t pos, uint64_t *ret_pos)
{
    uint32_t magic = record_magic(key_of(sc->s));
    CLEANUP(freep) char *buf = malloc(SEARCH_BYTES);

    if (!buf)
        return -ENOMEM;
    *ret_pos = sc->size;
    while (pos + sizeof(magic) <= sc->size) {
        size_t n = sc->size - pos < SEARCH_BYTES ? (size_t)(sc->size - pos) : SEARCH_BYTES;
        const char *p;
        int rc = read_all(sc->s->fd, buf, n, pos);

        if (rc < 0)
            return rc;
        if ((p = memmem(buf, n, &magic, sizeof(magic)))) {
            *ret_pos = pos + (uint64_t)(p - buf);
            return 0;
        }
        pos += n - (sizeof(magic) - 1);
        if (n < SEARCH_BYTES)
            break;
    }
    return 0;
}

/* The next whole record behind one that is not; -ENOENT. A file of a former build has no key:
 * anything could look like a record in it, so nothing is searched for. */
static int find_record(const struct scanner *sc, uint64_t pos, uint64_t hint, uint64_t *ret_pos,
                       struct record_head *ret_head)
{
    uint64_t next;
    int rc;

    if (hint > 0 && (rc = probe_record(sc, hint, ret_head, &next)) != -EBADMSG) {
        *ret_pos = hint;
        return rc;
    }
    if (!sc->s->keyed)
        return -ENOENT;
    for (;;) {
        if ((rc = find_magic(sc, pos + 1, &pos)) < 0)
            return rc;
        if (pos == sc->size)
            return -ENOENT;
        if ((rc = probe_record(sc, pos, ret_head, &next)) != -EBADMSG) {
            *ret_pos = pos;
            return rc;
        }
    }
}

/* How many records the whole ones from pos on say were on the disk. */
static int ask_durable(struct scanner *sc, uint64_t pos)
{
    struct record_head head;
    uint64_t next;
    int rc = 0;

    if (sc->asked)
        return 0;
    sc->asked = true;
    while ((rc = probe_record(sc, pos, &head, &next)) == 0 ||
           (rc == -EBADMSG && (rc = find_record(sc, pos, next, &pos, &head)) == 0)) {
        if (head.synced > sc->durable)
            sc->durable = head.synced;
        pos += sizeof(head) + head.size;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int take_record(struct scanner *sc, uint64_t pos, uint64_t *ret_next)
{
    CLEANUP(record_deinit) struct record r = { 0 };
    CLEANUP(freep) void *payload = NULL;
    struct segment *s = sc->s;
    const json_t *cp;
    int rc = read_record(sc, pos, &r, &payload, ret_next);

    if (rc < 0)
        return rc;
    if (r.head.seq != s->seq)
        return -EBADMSG;
    if ((rc = entries_reserve(s, r.count)) < 0)
        return rc;
    s->end = pos;
    remember_record(s, &r);
    cp = json_object_get(r.header, "checkpoint");
    return remember_names(s, r.change.roots, json_string_value(json_object_get(cp, "key")),
                          json_string_value(json_object_get(cp, "value")));
}

/* The record at *pos is not whole. 0: *pos is where to go on, s->seq the number there; -ENOENT:
 * what follows does not count. */
static int skip_damage(struct scanner *sc, uint64_t *pos, uint64_t hint, struct segment_scan *ret)
{
    struct segment *s = sc->s;
    struct record_head head;
    uint64_t found;
    int rc;

    if ((rc = find_record(sc, *pos, hint, &found, &head)) < 0 || (rc = ask_durable(sc, found)) < 0)
        return rc;
    if (s->seq >= sc->durable)
        return -ENOENT;
    ret->damaged += (head.seq < sc->durable ? head.seq : sc->durable) - s->seq;
    if (head.seq > sc->durable)
        return -ENOENT;
    s->seq = head.seq;
    *pos = found;
    return 0;
}

static int scan_records(struct scanner *sc, struct segment_scan *ret)
{
    uint64_t pos = sc->s->end;
    uint64_t next;
    int rc = 0;

    while (rc == 0 && pos < sc->size) {
        rc = take_record(sc, pos, &next);
        if (rc == 0)
            pos = next;
        else if (rc == -EBADMSG)
            rc = skip_damage(sc, &pos, next, ret);
    }
    ret->dropped = sc->size - sc->s->end;
    return rc == -ENOENT ? 0 : rc;
}

/* One copy of the key may be damaged: the right one is the one that a record is made with. -ENOENT:
 * there is no record. */
static int try_keys(struct scanner *sc, const struct file_head *head)
{
    struct segment *s = sc->s;

    s->keyed = true;
    for (int i = 0; i < 2; i++) {
        struct record_head found;
        uint64_t pos;
        int rc;

        memcpy(s->key, head->keys[i], sizeof(s->key));
        if (!record_key_valid(s->key))
            continue;
        rc = find_record(sc, sizeof(*head) - 1, sizeof(*head), &pos, &found);
        if (rc != -ENOENT)
            return rc;
    }
    return -ENOENT;
}

static int scan(struct segment *s, enum digest_algorithm hash, struct segment_scan *ret)
{
    struct scanner sc = { .s = s, .hash = hash };
    struct file_head head;
    struct stat st;
    int rc;

    if (fstat(s->fd, &st) < 0)
        return -errno;
    sc.size = (uint64_t)st.st_size;
    if (sc.size >= sizeof(head)) {
        if ((rc = read_all(s->fd, &head, sizeof(head), 0)) < 0)
            return rc;
        if (head.magic != RECORD_MAGIC_1) {
            s->end = sizeof(head);
            rc = try_keys(&sc, &head);
            if (rc == -ENOENT)
                ret->dropped = sc.size - s->end;
            if (rc < 0)
                return rc == -ENOENT ? 0 : rc;
        }
    }
    return scan_records(&sc, ret);
}

int segment_open(const char *path, uint64_t number, enum digest_algorithm hash,
                 struct segment_scan *ret_scan, struct segment **ret)
{
    CLEANUP(segment_closep) struct segment *s = NULL;
    int rc = segment_new(path, number, 0, &s);

    memset(ret_scan, 0, sizeof(*ret_scan));
    if (rc < 0 || (rc = scan(s, hash, ret_scan)) < 0)
        return rc;
    *ret = TAKE(s);
    return 0;
}
