/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Why: a commit of the KVS is a handful of blobs with random digests. Putting each into the indexed
 * table at once writes a page of the index for each of them; here they are one write at the end of
 * a file, and the index gets them by thousands later.
 *
 * Files are numbered; the store remembers the highest number it has taken (store_set_folded()), in
 * the transaction that sets the roots of that file, so a deleted file that a crash brought back is
 * not applied again. A process appends only to files it made.
 *
 * Invariants: a segment is folded when all older ones are; only the newest is appended to; the
 * mutex is held whenever the list of segments or a segment in it changes, and whenever the segment
 * that is appended to is read. What is to be folded does not change and is read without it. The
 * mutex is not held while the disk syncs, so blobs can be loaded that are not acknowledged yet;
 * roots and checkpoints cannot be seen before they are as durable as they will be, because who
 * reads them takes the lock of those who append, which is held until then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "base/errorx.h"
#include "base/number.h"
#include "content/journal.h"
#include "content/order.h"

TAILQ_HEAD(segment_list, segment);

struct journal {
    struct journal_params params;
    char *path;
    pthread_mutex_t appending; /* taken before the mutex */
    pthread_mutex_t mutex;
    struct segment_list segments; /* oldest first */
    struct segment *current;      /* the last of them, or NULL */
    uint32_t nsegments;
    uint64_t next_number;
    uint32_t fold_pos;    /* entries of the oldest that are in the store, */
    uint32_t *fold_order; /* in this order; NULL: not begun, or no memory for it */
    struct journal_stats stats;
};

static char *segment_path(const struct journal *j, uint64_t number)
{
    char *path = NULL;

    return asprintf(&path, "%s-journal.%" PRIu64, j->path, number) < 0 ? NULL : path;
}

static void list_append(struct journal *j, struct segment *s)
{
    TAILQ_INSERT_TAIL(&j->segments, s, link);
    j->nsegments++;
    if (s->number >= j->next_number)
        j->next_number = s->number + 1;
}

/* --- start */

static int number_cmp(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The numbers of the files that are there, in order. */
static int find_files(const struct journal *j, uint64_t **ret_numbers, size_t *ret_count)
{
    CLEANUP(freep) char *dir_path = strdup(j->path);
    CLEANUP(freep) char *base_path = strdup(j->path);
    CLEANUP(freep) char *prefix = NULL;
    CLEANUP(freep) uint64_t *numbers = NULL;
    struct dirent *e;
    size_t n = 0;
    DIR *dir;

    if (!dir_path || !base_path || asprintf(&prefix, "%s-journal.", basename(base_path)) < 0)
        return -ENOMEM;
    if (!(dir = opendir(dirname(dir_path))))
        return -errno;
    while ((e = readdir(dir))) {
        uint64_t *more;
        uint64_t number;

        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0 ||
            number_parse_u64(e->d_name + strlen(prefix), UINT64_MAX - 1, &number) < 0)
            continue;
        if (!(more = realloc(numbers, (n + 1) * sizeof(*more)))) {
            (void)closedir(dir);
            return -ENOMEM;
        }
        numbers = more;
        numbers[n++] = number;
    }
    (void)closedir(dir);
    if (n > 0)
        qsort(numbers, n, sizeof(*numbers), number_cmp);
    *ret_numbers = TAKE(numbers);
    *ret_count = n;
    return 0;
}

static int take_file(struct journal *j, uint64_t number, uint64_t folded,
                     struct segment_scan *total)
{
    CLEANUP(freep) char *path = segment_path(j, number);
    struct segment_scan scan;
    struct segment *s;
    int rc;

    if (!path)
        return -ENOMEM;
    if (number <= folded) {
        (void)j->params.io->unlink(path);
        return 0;
    }
    if ((rc = segment_open(path, number, j->params.hash, &scan, &s)) < 0)
        return rc;
    total->dropped += scan.dropped;
    total->damaged += scan.damaged;
    list_append(j, s);
    return 0;
}

static int take_files(struct journal *j, struct store *st, struct segment_scan *total)
{
    CLEANUP(freep) uint64_t *numbers = NULL;
    uint64_t folded;
    size_t count = 0;
    int rc;

    if ((rc = store_get_folded(st, &folded)) < 0 || (rc = find_files(j, &numbers, &count)) < 0)
        return rc;
    j->next_number = folded + 1;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = take_file(j, numbers[i], folded, total);
    return rc;
}

int journal_open(const struct journal_params *params, struct store *st,
                 struct segment_scan *ret_scan, struct journal **ret, flux_error_t *error)
{
    struct journal *j = calloc(1, sizeof(*j));
    int rc;

    memset(ret_scan, 0, sizeof(*ret_scan));
    if (!j || !(j->path = strdup(params->path))) {
        free(j);
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    j->params = *params;
    if (!j->params.io)
        j->params.io = &segment_io_real;
    if (!j->params.segment_blobs)
        j->params.segment_blobs = JOURNAL_SEGMENT_BLOBS;
    TAILQ_INIT(&j->segments);
    (void)pthread_mutex_init(&j->appending, NULL);
    (void)pthread_mutex_init(&j->mutex, NULL);
    if ((rc = take_files(j, st, ret_scan)) < 0) {
        journal_close(j);
        return errorx_fail(error, -rc, "%s-journal: %s", params->path, strerror(-rc));
    }
    *ret = j;
    return 0;
}

struct journal *journal_close(struct journal *j)
{
    struct segment *s;

    if (j) {
        while ((s = TAILQ_FIRST(&j->segments))) {
            TAILQ_REMOVE(&j->segments, s, link);
            segment_close(s);
        }
        (void)pthread_mutex_destroy(&j->mutex);
        (void)pthread_mutex_destroy(&j->appending);
        free(j->fold_order);
        free(j->path);
        free(j);
    }
    return NULL;
}

/* --- appending, with the lock */

static int current_open(struct journal *j)
{
    CLEANUP(freep) char *path = NULL;
    struct segment *s = TAILQ_LAST(&j->segments, segment_list);
    int rc;

    if (j->current)
        return 0;
    /* A power cut must not keep the new file and lose the end of the last one. */
    if (s && s->synced < s->seq && j->params.sync == STORE_SYNC_NORMAL && segment_sync(s) < 0)
        return -EIO;
    if (!(path = segment_path(j, j->next_number)))
        return -ENOMEM;
    if ((rc = segment_create(path, j->next_number, j->params.io, &s)) < 0)
        return rc;
    list_append(j, s);
    j->current = s;
    if (j->params.sync == STORE_SYNC_OFF)
        return 0;
    return j->params.io->sync_directory(s->path) < 0 ? -EIO : 0;
}

static int append_all(struct journal *j, struct change_list *changes, uint64_t *ret_kept)
{
    struct change *ch;

    *ret_kept = 0;
    TAILQ_FOREACH (ch, changes, link) {
        if ((ch->err = current_open(j)) == 0)
            ch->err = segment_append(j->current, j->params.hash, ch);
        if (ch->err == -EIO)
            return -EIO;
        if (ch->err == 0) {
            j->stats.blobs += change_nblobs(ch);
            j->stats.bytes += ch->data_size;
            ++*ret_kept;
        }
    }
    return 0;
}

/* Without the mutex: the segment that is appended to is neither folded nor changed by others. */
static int sync_appended(struct journal *j)
{
    struct segment *s = j->current;

    return j->params.sync == STORE_SYNC_FULL ? segment_sync(s) : 0;
}

static void count_appended(struct journal *j, uint64_t kept)
{
    if (kept == 0)
        return;
    j->stats.changes += kept;
    j->stats.transactions++;
    if (kept > j->stats.largest_batch)
        j->stats.largest_batch = kept;
}

int journal_append(struct journal *j, struct change_list *changes)
{
    struct change *ch;
    uint64_t kept;
    int rc;

    (void)pthread_mutex_lock(&j->appending);
    (void)pthread_mutex_lock(&j->mutex);
    rc = append_all(j, changes, &kept);
    (void)pthread_mutex_unlock(&j->mutex);
    if (rc == 0 && kept > 0)
        rc = sync_appended(j);
    (void)pthread_mutex_lock(&j->mutex);
    if (rc < 0) {
        TAILQ_FOREACH (ch, changes, link)
            ch->err = -EIO;
    } else {
        count_appended(j, kept);
        if (j->current && (j->current->count >= j->params.segment_blobs ||
                           j->current->end >= JOURNAL_SEGMENT_BYTES))
            j->current = NULL;
    }
    (void)pthread_mutex_unlock(&j->mutex);
    (void)pthread_mutex_unlock(&j->appending);
    return rc < 0 ? -EIO : 0;
}

/* --- reading */

/* With the lock. The newest first. */
static const struct segment_entry *find_entry(struct journal *j, const uint8_t *digest,
                                              struct segment **ret_segment)
{
    struct segment *s;

    TAILQ_FOREACH_REVERSE(s, &j->segments, segment_list, link)
    {
        const struct segment_entry *e = segment_find(s, digest);

        if (e) {
            *ret_segment = s;
            return e;
        }
    }
    return NULL;
}

bool journal_has(struct journal *j, const uint8_t digest[DIGEST_SIZE])
{
    struct segment *s;
    bool has;

    (void)pthread_mutex_lock(&j->mutex);
    has = find_entry(j, digest, &s) != NULL;
    (void)pthread_mutex_unlock(&j->mutex);
    return has;
}

/* With the lock. */
static int load_entry(struct journal *j, const uint8_t *digest, void **ret_data, size_t *ret_size)
{
    CLEANUP(freep) void *data = NULL;
    struct segment *s;
    const struct segment_entry *e = find_entry(j, digest, &s);
    int rc;

    if (!e)
        return -ENOENT;
    if (!(data = malloc(e->size ? e->size : 1)))
        return -ENOMEM;
    if ((rc = segment_read(s, e, data)) < 0)
        return rc;
    *ret_size = e->size;
    *ret_data = TAKE(data);
    return 0;
}

static bool is_blob(const struct journal *j, const uint8_t *digest, const void *data, size_t size)
{
    uint8_t actual[DIGEST_SIZE];

    digest_compute(j->params.hash, data, size, actual);
    return memcmp(actual, digest, DIGEST_SIZE) == 0;
}

int journal_load(struct journal *j, const uint8_t digest[DIGEST_SIZE], void **ret_data,
                 size_t *ret_size)
{
    int rc;

    (void)pthread_mutex_lock(&j->mutex);
    rc = load_entry(j, digest, ret_data, ret_size);
    (void)pthread_mutex_unlock(&j->mutex);
    if (rc < 0)
        return rc;
    if (is_blob(j, digest, *ret_data, *ret_size))
        return 0;
    free(*ret_data);
    *ret_data = NULL;
    return -EBADMSG;
}

/* With the lock. */
static int check_next(struct journal *j, struct journal_pos *pos, uint8_t digest[DIGEST_SIZE],
                      uint64_t *ret_size)
{
    CLEANUP(freep) void *data = NULL;
    const struct segment_entry *e;
    struct segment *s;

    TAILQ_FOREACH (s, &j->segments, link) {
        if (s->number > pos->number || (s->number == pos->number && pos->entry < s->count))
            break;
    }
    if (!s)
        return -ENOENT;
    if (s->number > pos->number)
        *pos = (struct journal_pos){ .number = s->number };
    if (pos->entry >= s->count) { /* an empty one */
        pos->number++;
        return check_next(j, pos, digest, ret_size);
    }
    e = &s->entries[pos->entry++];
    memcpy(digest, e->digest, DIGEST_SIZE);
    *ret_size = e->size;
    if (!(data = malloc(e->size ? e->size : 1)))
        return -ENOMEM;
    return segment_read(s, e, data) < 0 || !is_blob(j, e->digest, data, e->size) ? -EBADMSG : 0;
}

int journal_check_next(struct journal *j, struct journal_pos *pos, uint8_t digest[DIGEST_SIZE],
                       uint64_t *ret_size)
{
    int rc;

    (void)pthread_mutex_lock(&j->mutex);
    rc = check_next(j, pos, digest, ret_size);
    (void)pthread_mutex_unlock(&j->mutex);
    return rc;
}

/* So that nothing is being synced. */
static void lock_names(struct journal *j)
{
    (void)pthread_mutex_lock(&j->appending);
    (void)pthread_mutex_lock(&j->mutex);
}

static void unlock_names(struct journal *j)
{
    (void)pthread_mutex_unlock(&j->mutex);
    (void)pthread_mutex_unlock(&j->appending);
}

static int overlay(json_t *table, const struct segment *s)
{
    const char *ns;
    json_t *root;

    json_object_foreach (s->roots, ns, root) {
        if (json_object_set(table, ns, root) < 0)
            return -ENOMEM;
    }
    return 0;
}

int journal_overlay_roots(struct journal *j, json_t *roots)
{
    CLEANUP(json_decrefp) json_t *table = json_object();
    const char *ns;
    struct segment *s;
    json_t *o;
    size_t i;
    int rc = table ? 0 : -ENOMEM;

    json_array_foreach (roots, i, o) {
        if (rc == 0 && json_object_set(table, json_string_value(json_object_get(o, "ns")),
                                       json_object_get(o, "root")) < 0)
            rc = -ENOMEM;
    }
    lock_names(j);
    TAILQ_FOREACH (s, &j->segments, link) {
        if (rc == 0)
            rc = overlay(table, s);
    }
    unlock_names(j);
    if (rc < 0)
        return rc;
    (void)json_array_clear(roots);
    json_object_foreach (table, ns, o) {
        if (!json_is_null(o) &&
            json_array_append_new(roots, json_pack("{s:s s:O}", "ns", ns, "root", o)) < 0)
            return -ENOMEM;
    }
    return 0;
}

int journal_overlay_checkpoints(struct journal *j, json_t *checkpoints)
{
    struct segment *s;
    int rc = 0;

    lock_names(j);
    TAILQ_FOREACH (s, &j->segments, link) {
        if (json_object_update(checkpoints, s->checkpoints) < 0)
            rc = -ENOMEM;
    }
    unlock_names(j);
    return rc;
}

int journal_get_checkpoint(struct journal *j, const char *key, char **ret_value)
{
    const char *value = NULL;
    struct segment *s;
    int rc = -ENOENT;

    lock_names(j);
    TAILQ_FOREACH_REVERSE(s, &j->segments, segment_list, link)
    {
        if ((value = json_string_value(json_object_get(s->checkpoints, key))))
            break;
    }
    if (value)
        rc = (*ret_value = strdup(value)) ? 0 : -ENOMEM;
    unlock_names(j);
    return rc;
}

/* --- folding */

/* Lent: only we remove segments. */
static struct segment *oldest(struct journal *j)
{
    struct segment *s;

    (void)pthread_mutex_lock(&j->mutex);
    s = TAILQ_FIRST(&j->segments);
    if (s == j->current)
        s = NULL;
    (void)pthread_mutex_unlock(&j->mutex);
    return s;
}

static int put_blob(struct store *st, const struct segment *s, const struct segment_entry *e)
{
    CLEANUP(freep) void *data = malloc(e->size ? e->size : 1);
    int rc;

    if (!data)
        return -ENOMEM;
    /* What cannot be read here could not be loaded either: the rest goes on. */
    if ((rc = segment_read(s, e, data)) < 0)
        return 0;
    rc = store_put_blob(st, e->digest, data, e->size);
    return rc == 0 && e->loose > 0 ? store_set_loose(st, e->digest, e->loose) : rc;
}

static int put_names(struct store *st, const struct segment *s)
{
    const char *key;
    json_t *o;

    json_object_foreach (s->roots, key, o) {
        CLEANUP(freep) char *text = NULL;
        int rc;

        if (!json_is_null(o) && !(text = json_dumps(o, JSON_COMPACT)))
            return -ENOMEM;
        if ((rc = store_set_root(st, key, text)) < 0)
            return rc;
    }
    json_object_foreach (s->checkpoints, key, o) {
        int rc = store_set_checkpoint(st, key, json_string_value(o));

        if (rc < 0)
            return rc;
    }
    return store_set_folded(st, s->number);
}

/* The next blobs, and after the last one the names. */
static int put_some(struct journal *j, struct store *st, const struct segment *s, uint32_t *pos)
{
    size_t bytes = 0;
    uint32_t n = 0;
    int rc = 0;

    while (rc == 0 && *pos < s->count && n++ < JOURNAL_FOLD_BLOBS && bytes < JOURNAL_FOLD_BYTES) {
        const struct segment_entry *e = &s->entries[j->fold_order ? j->fold_order[*pos] : *pos];

        bytes += e->size;
        rc = put_blob(st, s, e);
        ++*pos;
    }
    return rc == 0 && *pos == s->count ? put_names(st, s) : rc;
}

static void segment_done(struct journal *j, struct segment *s)
{
    (void)pthread_mutex_lock(&j->mutex);
    TAILQ_REMOVE(&j->segments, s, link);
    j->nsegments--;
    j->fold_pos = 0;
    free(TAKE(j->fold_order));
    (void)pthread_mutex_unlock(&j->mutex);
    (void)j->params.io->unlink(s->path);
    segment_close(s);
}

static void note_folded(struct journal *j, uint32_t pos)
{
    (void)pthread_mutex_lock(&j->mutex);
    j->stats.folded += pos - j->fold_pos;
    (void)pthread_mutex_unlock(&j->mutex);
    j->fold_pos = pos;
}

int journal_fold(struct journal *j, struct store *st)
{
    struct segment *s = oldest(j);
    uint32_t pos = j->fold_pos;
    int rc;

    if (!s)
        return 0;
    if (pos == 0 && !j->fold_order)
        j->fold_order = order_by_digest(s->entries, s->count);
    /* It is on the disk when it is settled; until then the file stays. */
    rc = store_begin_lazily(st);
    if (rc == 0)
        rc = put_some(j, st, s, &pos);
    if (rc == 0)
        rc = store_commit(st);
    if (rc < 0) {
        store_rollback(st);
        return rc;
    }
    note_folded(j, pos);
    if (pos < s->count)
        return 0;
    if ((rc = store_settle(st)) < 0)
        return rc;
    segment_done(j, s);
    return 0;
}

bool journal_foldable(struct journal *j)
{
    return oldest(j) != NULL;
}

bool journal_in_use(struct journal *j)
{
    bool in_use;

    (void)pthread_mutex_lock(&j->mutex);
    in_use = j->current != NULL;
    (void)pthread_mutex_unlock(&j->mutex);
    return in_use;
}

/* How many files there are above so many. */
static uint32_t more_than(struct journal *j, uint32_t n)
{
    uint32_t count;

    (void)pthread_mutex_lock(&j->mutex);
    count = j->nsegments;
    (void)pthread_mutex_unlock(&j->mutex);
    return count > n ? count - n : 0;
}

bool journal_urgent(struct journal *j)
{
    return more_than(j, JOURNAL_SEGMENTS_SOON) > 0;
}

uint32_t journal_behind(struct journal *j)
{
    return more_than(j, JOURNAL_SEGMENTS_MAX);
}

void journal_rotate(struct journal *j)
{
    lock_names(j);
    j->current = NULL;
    unlock_names(j);
}

uint64_t journal_newest(struct journal *j)
{
    uint64_t number;

    (void)pthread_mutex_lock(&j->mutex);
    number = j->next_number - 1;
    (void)pthread_mutex_unlock(&j->mutex);
    return number;
}

uint64_t journal_oldest(struct journal *j)
{
    const struct segment *s;
    uint64_t number;

    (void)pthread_mutex_lock(&j->mutex);
    s = TAILQ_FIRST(&j->segments);
    number = s ? s->number : UINT64_MAX;
    (void)pthread_mutex_unlock(&j->mutex);
    return number;
}

struct journal_stats journal_stats(struct journal *j)
{
    struct journal_stats stats;
    const struct segment *s;

    (void)pthread_mutex_lock(&j->mutex);
    stats = j->stats;
    stats.segments = j->nsegments;
    TAILQ_FOREACH (s, &j->segments, link)
        stats.file_bytes += s->end;
    (void)pthread_mutex_unlock(&j->mutex);
    return stats;
}
