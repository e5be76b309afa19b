/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Persistent directories. See dir.h for the idea.
 *
 * Invariants: the entries of an unhashed directory are sorted by name and unique; a bucket of a
 * hashed one is a directory node of empty name whose names all hash to that bucket at its depth; a
 * sealed directory is never changed. A directory decoded from one long "dir" object may be larger
 * than DIR_MAX until the next change of it.
 *
 * hdir: "func" is "fnv1a32/D" where D is the depth; "size" is 2^B, the same in all levels of a
 * directory; the bucket of a name is the B bits from B*D on of the (mixed) 32-bit FNV-1a hash of
 * the name. "bucket" has as many members, null where empty.
 */
#include <errno.h>
#include <string.h>
#include "kvs/dir.h"

static const char *const hdir_func = "fnv1a32/";

static unsigned int bucket_of(const struct dir *d, const char *name, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 16777619u;
    h ^= h >> 15; /* the low bits of FNV are poorly mixed for names that differ at the end */
    return h >> (d->bits * d->depth) & ((1u << d->bits) - 1);
}

struct dir *dir_new(uint64_t owner, unsigned int depth)
{
    struct dir *d = calloc(1, sizeof(*d));

    if (d) {
        d->refs = 1;
        d->owner = owner;
        d->depth = (uint8_t)depth;
        d->bits = DIR_BITS;
    }
    return d;
}

struct dir *dir_ref(struct dir *d)
{
    d->refs++;
    return d;
}

uint32_t dir_slots(const struct dir *d)
{
    return d->hashed ? 1u << d->bits : d->count;
}

static void ents_free(struct node **ents, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        node_unref(ents[i]);
    free(ents);
}

struct dir *dir_unref(struct dir *d)
{
    if (d && --d->refs == 0) {
        dir_unref(d->origin);
        ents_free(d->ents, dir_slots(d));
        free(d);
    }
    return NULL;
}

struct dir *dir_copy(const struct dir *d, uint64_t owner)
{
    struct dir *copy = dir_new(owner, d->depth);
    uint32_t n = dir_slots(d);

    if (!copy)
        return NULL;
    copy->cap = n + (d->hashed ? 0 : 4);
    if (copy->cap > 0 && !(copy->ents = malloc(copy->cap * sizeof(copy->ents[0])))) {
        free(copy);
        return NULL;
    }
    copy->hashed = d->hashed;
    copy->bits = d->bits;
    copy->count = d->count;
    for (uint32_t i = 0; i < n; i++)
        copy->ents[i] = d->ents[i] ? node_ref(d->ents[i]) : NULL;
    if (d->sealed)
        copy->origin = dir_ref((struct dir *)d);
    else if (d->origin)
        copy->origin = dir_ref(d->origin);
    return copy;
}

int dir_writable(uint64_t owner, struct dir *d, struct dir **ret)
{
    *ret = d->owner == owner && !d->sealed ? dir_ref(d) : dir_copy(d, owner);
    return *ret ? 0 : -ENOMEM;
}

int dir_of_node(struct dir_source *src, const struct node *n, struct dir **ret)
{
    if (n->type == NODE_DIR) {
        *ret = n->dir;
        return 0;
    }
    if (n->type == NODE_DIRREF)
        return src->get(src, n->dirref, ret);
    return -ENOTDIR;
}

static int name_cmp(const struct node *n, const char *name, size_t len)
{
    size_t min = n->name_len < len ? n->name_len : len;
    int c = memcmp(n->name, name, min);

    return c ? c : (n->name_len > len) - (n->name_len < len);
}

/* Index of the name, or of where it belongs. */
static bool array_find(const struct dir *d, const char *name, size_t len, uint32_t *ret)
{
    uint32_t lo = 0;
    uint32_t hi = d->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = name_cmp(d->ents[mid], name, len);

        if (c == 0) {
            *ret = mid;
            return true;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret = lo;
    return false;
}

int dir_find(struct dir_source *src, struct dir *d, const char *name, size_t len, struct node **ret)
{
    uint32_t i;
    int rc;

    while (d->hashed) {
        struct node *bucket = d->ents[bucket_of(d, name, len)];

        if (!bucket)
            return -ENOENT;
        if ((rc = dir_of_node(src, bucket, &d)) < 0)
            return rc;
    }
    if (!array_find(d, name, len, &i))
        return -ENOENT;
    *ret = d->ents[i];
    return 0;
}

/* Makes the directory in a slot of d changeable by owner; lends it. */
static int slot_enter(struct dir_source *src, uint64_t owner, struct dir *d, uint32_t slot,
                      struct dir **ret)
{
    struct node *n = d->ents[slot];
    CLEANUP(dir_unrefp) struct dir *mine = NULL;
    struct node *replacement;
    struct dir *child;
    int rc;

    if ((rc = dir_of_node(src, n, &child)) < 0 || (rc = dir_writable(owner, child, &mine)) < 0)
        return rc;
    if (mine != child) {
        if (!(replacement = node_new_dir(n->name, n->name_len, mine)))
            return -ENOMEM;
        d->ents[slot] = replacement;
        node_unref(n);
    }
    /* A leaf does not say at which depth it hangs: equal leaves are one blob wherever they are. */
    if (d->hashed && !mine->hashed) {
        mine->depth = (uint8_t)(d->depth + 1);
        mine->bits = d->bits;
    }
    *ret = mine;
    return 0;
}

static int array_insert(struct dir *d, uint32_t at, struct node *n)
{
    if (d->count == d->cap) {
        uint32_t cap = d->cap ? d->cap * 2 : 4;
        struct node **ents = realloc(d->ents, cap * sizeof(ents[0]));

        if (!ents)
            return -ENOMEM;
        d->ents = ents;
        d->cap = cap;
    }
    memmove(&d->ents[at + 1], &d->ents[at], (d->count - at) * sizeof(d->ents[0]));
    d->ents[at] = node_ref(n);
    d->count++;
    return 0;
}

/* Puts a node into the bucket it belongs to. */
static int hashed_put(struct dir_source *src, uint64_t owner, struct dir *d, struct node *n)
{
    unsigned int slot = bucket_of(d, n->name, n->name_len);
    struct dir *child;
    int rc;

    if (!d->ents[slot]) {
        CLEANUP(dir_unrefp) struct dir *bucket = dir_new(owner, d->depth + 1u);

        if (!bucket || !(d->ents[slot] = node_new_dir("", 0, bucket)))
            return -ENOMEM;
        d->count++;
    }
    if ((rc = slot_enter(src, owner, d, slot, &child)) < 0)
        return rc;
    return dir_put(src, owner, child, n);
}

static int dir_split(struct dir_source *src, uint64_t owner, struct dir *d)
{
    struct node **names = d->ents;
    uint32_t count = d->count;
    uint32_t nbuckets = 1u << d->bits;
    struct node **buckets = calloc(nbuckets, sizeof(buckets[0]));
    int rc = 0;

    if (!buckets)
        return -ENOMEM;
    d->ents = buckets;
    d->hashed = true;
    d->count = 0;
    d->cap = nbuckets;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = hashed_put(src, owner, d, names[i]);
    ents_free(names, count);
    return rc;
}

int dir_put_plain(struct dir *d, struct node *n)
{
    uint32_t i;

    if (array_find(d, n->name, n->name_len, &i)) {
        struct node *old = d->ents[i];

        d->ents[i] = node_ref(n);
        node_unref(old);
        return 0;
    }
    return array_insert(d, i, n);
}

int dir_put(struct dir_source *src, uint64_t owner, struct dir *d, struct node *n)
{
    int rc;

    if (d->hashed)
        return hashed_put(src, owner, d, n);
    if ((rc = dir_put_plain(d, n)) < 0)
        return rc;
    return d->count > DIR_MAX && d->depth < DIR_DEPTH_MAX ? dir_split(src, owner, d) : 0;
}

static int hashed_remove(struct dir_source *src, uint64_t owner, struct dir *d, const char *name,
                         size_t len)
{
    unsigned int slot = bucket_of(d, name, len);
    struct dir *child;
    int rc;

    if (!d->ents[slot])
        return -ENOENT;
    if ((rc = slot_enter(src, owner, d, slot, &child)) < 0 ||
        (rc = dir_remove(src, owner, child, name, len)) < 0)
        return rc;
    if (child->count == 0) {
        d->ents[slot] = node_unref(d->ents[slot]);
        d->count--;
    }
    if (d->count == 0) {
        free(d->ents);
        d->ents = NULL;
        d->cap = 0;
        d->hashed = false;
    }
    return 0;
}

int dir_remove(struct dir_source *src, uint64_t owner, struct dir *d, const char *name, size_t len)
{
    uint32_t i;

    if (d->hashed)
        return hashed_remove(src, owner, d, name, len);
    if (!array_find(d, name, len, &i))
        return -ENOENT;
    node_unref(d->ents[i]);
    d->count--;
    memmove(&d->ents[i], &d->ents[i + 1], (d->count - i) * sizeof(d->ents[0]));
    return 0;
}

/* Puts a new, empty directory under the name. */
static int put_empty(struct dir_source *src, uint64_t owner, struct dir *d, const char *name,
                     size_t len)
{
    CLEANUP(dir_unrefp) struct dir *empty = dir_new(owner, 0);
    CLEANUP(node_unrefp) struct node *n = empty ? node_new_dir(name, len, empty) : NULL;

    return n ? dir_put(src, owner, d, n) : -ENOMEM;
}

int dir_enter(struct dir_source *src, uint64_t owner, struct dir *d, const char *name, size_t len,
              struct dir **ret)
{
    struct node *n;
    uint32_t i;
    int rc = dir_find(src, d, name, len, &n);

    if (rc == -ENOENT || (rc == 0 && !node_is_dir(n)))
        rc = put_empty(src, owner, d, name, len);
    if (rc < 0)
        return rc;
    while (d->hashed) {
        if ((rc = slot_enter(src, owner, d, bucket_of(d, name, len), &d)) < 0)
            return rc;
    }
    if (!array_find(d, name, len, &i))
        return -ENOENT;
    return slot_enter(src, owner, d, i, ret);
}

int dir_walk(struct dir_source *src, struct dir *d, int (*fn)(struct node *n, void *arg), void *arg)
{
    uint32_t n = dir_slots(d);
    int rc = 0;

    for (uint32_t i = 0; i < n && rc == 0; i++) {
        struct dir *bucket;

        if (!d->hashed)
            rc = fn(d->ents[i], arg);
        else if (d->ents[i] && (rc = dir_of_node(src, d->ents[i], &bucket)) == 0)
            rc = dir_walk(src, bucket, fn, arg);
    }
    return rc;
}

/* -1: not a number of buckets. */
static int bits_of_size(const json_t *size)
{
    for (int bits = 1; bits <= DIR_BITS_MAX; bits++) {
        if (json_is_integer(size) && json_integer_value(size) == 1 << bits)
            return bits;
    }
    return -1;
}

static int hdir_decode(const json_t *o, enum digest_algorithm alg, struct dir **ret)
{
    const json_t *data = json_object_get(o, "data");
    const char *func = json_string_value(json_object_get(data, "func"));
    const json_t *buckets = json_object_get(data, "bucket");
    int bits = bits_of_size(json_object_get(data, "size"));
    size_t nbuckets = bits < 0 ? 0 : (size_t)1 << bits;
    CLEANUP(dir_unrefp) struct dir *d = NULL;
    size_t func_len = strlen(hdir_func);

    if (bits < 0 || json_array_size(buckets) != nbuckets || !func ||
        strncmp(func, hdir_func, func_len) != 0 || func[func_len] < '0' ||
        func[func_len] >= '0' + DIR_DEPTH_MAX || func[func_len + 1])
        return -EPROTO;
    if (!(d = dir_new(0, (unsigned int)(func[func_len] - '0'))) ||
        !(d->ents = calloc(nbuckets, sizeof(d->ents[0]))))
        return -ENOMEM;
    d->hashed = true;
    d->bits = (uint8_t)bits;
    d->cap = (uint32_t)nbuckets;
    for (size_t i = 0; i < nbuckets; i++) {
        const json_t *bucket = json_array_get(buckets, i);
        int rc;

        if (json_is_null(bucket))
            continue;
        if ((rc = node_decode(bucket, "", 0, alg, &d->ents[i])) < 0)
            return rc;
        d->count++;
        if (d->ents[i]->type != NODE_DIRREF)
            return -EPROTO;
    }
    *ret = TAKE(d);
    return 0;
}

int dir_decode(const void *data, size_t size, enum digest_algorithm alg, struct dir **ret)
{
    CLEANUP(json_decrefp) json_t *o = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_t *ver = json_object_get(o, "ver");

    if (!type || !json_is_integer(ver) || json_integer_value(ver) != 1)
        return -EPROTO;
    if (strcmp(type, "hdir") == 0)
        return hdir_decode(o, alg, ret);
    if (strcmp(type, "dir") != 0)
        return -EPROTO;
    return dir_decode_json(o, alg, 0, ret);
}

static void encode_names(const struct dir *d, enum digest_algorithm alg, struct strbuf *sb)
{
    strbuf_puts(sb, "{\"ver\":1,\"type\":\"dir\",\"data\":{");
    for (uint32_t i = 0; i < d->count; i++) {
        if (i > 0)
            strbuf_puts(sb, ",");
        strbuf_json_string(sb, d->ents[i]->name);
        strbuf_puts(sb, ":");
        node_encode(d->ents[i], alg, sb);
    }
    strbuf_puts(sb, "}}");
}

void dir_encode(const struct dir *d, enum digest_algorithm alg, struct strbuf *sb)
{
    if (!d->hashed) {
        encode_names(d, alg, sb);
        return;
    }
    strbuf_puts(sb, "{\"ver\":1,\"type\":\"hdir\",\"data\":{\"size\":");
    strbuf_number(sb, dir_slots(d));
    strbuf_puts(sb, ",\"func\":\"");
    strbuf_puts(sb, hdir_func);
    strbuf_number(sb, d->depth);
    strbuf_puts(sb, "\",\"bucket\":[");
    for (uint32_t i = 0; i < dir_slots(d); i++) {
        if (i > 0)
            strbuf_puts(sb, ",");
        if (d->ents[i])
            node_encode(d->ents[i], alg, sb);
        else
            strbuf_puts(sb, "null");
    }
    strbuf_puts(sb, "]}}");
}
