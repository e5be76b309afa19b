/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Gathering fences. The operations of those who came are kept in order of arrival; the last one's
 * arrival makes one transaction of all. Participants who left still count: the others wait for a
 * number, not for persons. Fences of different users are different, also by the same name. What
 * incomplete ones hold is charged to their user, whoever of them is still there.
 *
 * A name is used once: it is remembered when its fence was stored, so that one participant too many
 * is told and does not wait for others who never come. Of these the latest FENCES_DONE_MAX are
 * kept; the name of a fence that failed is free again. Invariant: a fence is gathering (count <
 * nprocs), being stored (merged handed over), or done (in the list, nothing but its name left). */
#include <errno.h>
#include <string.h>
#include "base/errorx.h"
#include "base/hash.h"
#include "kvs/commit.h"
#include "kvs/fence.h"
#include "service/quota.h"

TAILQ_HEAD(participants, txn);

struct fence {
    UT_hash_handle hh;
    TAILQ_ENTRY(fence) done_entry;
    struct fences *fences;
    char *key; /* userid and name */
    uint32_t userid;
    bool of_owner;
    size_t charged_bytes;
    int ncharged; /* participants */
    int nprocs;
    int count;
    struct participants txns;
    struct txn *merged; /* owns all operations; NULL once it is being stored */
};
TAILQ_HEAD(fence_list, fence);

struct fences {
    struct kvs *k;
    struct fence *table;
    struct fence_list done; /* oldest first */
    size_t ndone;
    struct quota *quota;
};

static void fence_release(struct fence *f)
{
    for (; f->ncharged > 0; f->ncharged--) {
        quota_release(f->fences->quota, f->userid, f->charged_bytes);
        f->charged_bytes = 0;
    }
}

static void fence_free(struct fence *f)
{
    struct txn *t;

    while ((t = TAILQ_FIRST(&f->txns))) {
        TAILQ_REMOVE(&f->txns, t, link);
        txn_free(t);
    }
    fence_release(f);
    txn_free(f->merged);
    free(f->key);
    free(f);
}

int fences_new(struct kvs *k, struct fences **ret)
{
    struct fences *fs = calloc(1, sizeof(*fs));

    if (!fs)
        return -ENOMEM;
    fs->k = k;
    TAILQ_INIT(&fs->done);
    if (quota_new(k->params.owner, &quota_limits_owner, &quota_limits_guest, &fs->quota) < 0) {
        free(fs);
        return -ENOMEM;
    }
    *ret = fs;
    return 0;
}

struct fences *fences_free(struct fences *fs)
{
    struct fence *f, *tmp;

    if (fs) {
        HASH_ITER (hh, fs->table, f, tmp) {
            HASH_DEL(fs->table, f);
            fence_free(f);
        }
        quota_free(fs->quota);
        free(fs);
    }
    return NULL;
}

/* One more of this user: no guest keeps others out, nor do all guests the owner. */
static bool has_place(const struct fences *fs, const struct caller *who)
{
    size_t nguests = 0, nown = 0;
    const struct fence *f, *tmp;

    if (HASH_COUNT(fs->table) - fs->ndone >= FENCES_MAX)
        return false;
    if (who->is_owner)
        return true;
    HASH_ITER (hh, fs->table, f, tmp) {
        const bool open = f->count < f->nprocs && !f->of_owner;

        nguests += open;
        nown += open && f->userid == who->userid;
    }
    return nguests < FENCES_GUESTS && nown < FENCES_PER_GUEST;
}

static int fence_get(struct fences *fs, const struct caller *who, const char *name,
                     struct fence **ret)
{
    struct fence *f;
    char *key;

    if (asprintf(&key, "%u %s", who->userid, name) < 0)
        return -ENOMEM;
    HASH_FIND_STR(fs->table, key, f);
    if (f) {
        free(key);
        *ret = f;
        return 0;
    }
    f = has_place(fs, who) ? calloc(1, sizeof(*f)) : NULL;
    if (!f) {
        free(key);
        return has_place(fs, who) ? -ENOMEM : -EAGAIN;
    }
    f->fences = fs;
    f->key = key;
    f->userid = who->is_owner ? fs->k->params.owner : who->userid;
    f->of_owner = who->is_owner;
    TAILQ_INIT(&f->txns);
    HASH_ADD_KEYPTR(hh, fs->table, f->key, strlen(f->key), f);
    if (!f->hh.tbl) {
        fence_free(f);
        return -ENOMEM;
    }
    *ret = f;
    return 0;
}

static void fence_forget(struct fence *f)
{
    HASH_DEL(f->fences->table, f);
    fence_free(f);
}

static void fence_remember(struct fence *f)
{
    struct fences *fs = f->fences;
    struct fence *oldest;

    TAILQ_INSERT_TAIL(&fs->done, f, done_entry);
    if (++fs->ndone <= FENCES_DONE_MAX)
        return;
    oldest = TAILQ_FIRST(&fs->done);
    TAILQ_REMOVE(&fs->done, oldest, done_entry);
    fs->ndone--;
    fence_forget(oldest);
}

/* The whole is stored, or failed: tell everybody. */
static void on_merged_done(struct txn *merged, void *arg)
{
    struct fence *f = arg;
    struct txn *t;

    fence_release(f);
    while ((t = TAILQ_FIRST(&f->txns))) {
        TAILQ_REMOVE(&f->txns, t, link);
        t->err = merged->err;
        t->error = merged->error;
        memcpy(t->rootref, merged->rootref, DIGEST_SIZE);
        t->rootseq = merged->rootseq;
        t->done(t, t->arg);
    }
    if (merged->err == 0)
        fence_remember(f);
    else
        fence_forget(f);
    txn_free(merged);
}

/* Moves the operations of t to the end of to's. */
static int move_ops(struct txn *to, struct txn *t)
{
    struct op *ops;

    if (t->nops == 0)
        return 0;
    if (!(ops = realloc(to->ops, (to->nops + t->nops) * sizeof(ops[0]))))
        return -ENOMEM;
    memcpy(&ops[to->nops], t->ops, t->nops * sizeof(ops[0]));
    to->ops = ops;
    to->nops += t->nops;
    t->nops = 0;
    return 0;
}

static int fence_check(const struct fence *f, int nprocs, const struct txn *t, flux_error_t *error)
{
    if (f->count == 0)
        return 0;
    if (f->count == f->nprocs)
        return errorx_fail(error, EOVERFLOW,
                           "all %d of this fence have come already: a name is used once",
                           f->nprocs);
    if (f->nprocs != nprocs)
        return errorx_fail(error, EINVAL, "the others of this fence said nprocs is %d", f->nprocs);
    if (f->merged->flags != t->flags || strcmp(f->merged->ns, t->ns) != 0)
        return errorx_fail(error, EINVAL,
                           "flags or namespace differ from the others' of this fence");
    return 0;
}

static int fence_charge(struct fence *f, size_t size, flux_error_t *error)
{
    const int rc = quota_charge(f->fences->quota, f->userid, size, NULL);

    if (rc == -EAGAIN)
        return errorx_fail(error, EAGAIN,
                           "user %u has as much in incomplete fences as he may: complete them",
                           f->userid);
    if (rc == 0) {
        f->ncharged++;
        f->charged_bytes += size;
    }
    return rc;
}

static int fence_add(struct fence *f, const struct fence_args *args, struct txn *t,
                     flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *none = json_array();
    int rc;

    if ((rc = fence_check(f, args->nprocs, t, error)) < 0 ||
        (rc = fence_charge(f, args->size_bytes, error)) < 0)
        return rc;
    if (!f->merged &&
        (rc = txn_new_commit(f->fences->k, t->ns, t->flags, none, &t->who, &f->merged, error)) < 0)
        return rc;
    if ((rc = move_ops(f->merged, t)) < 0)
        return rc;
    f->nprocs = args->nprocs;
    f->count++;
    TAILQ_INSERT_TAIL(&f->txns, t, link);
    return 0;
}

int fence_submit(struct kvs *k, const struct fence_args *args, struct txn *t, flux_error_t *error)
{
    struct fences *fs = k->fences;
    struct fence *f;
    int rc;

    errorx_set(error, "out of memory");
    if (args->nprocs <= 0 || !*args->name)
        return errorx_fail(error, EINVAL, "a fence needs a name and a positive nprocs");
    if (strlen(args->name) > FENCE_NAME_MAX)
        return errorx_fail(error, EINVAL, "the name of a fence has at most %d bytes",
                           FENCE_NAME_MAX);
    if ((rc = fence_get(fs, &t->who, args->name, &f)) < 0)
        return rc == -EAGAIN ? errorx_fail(error, EAGAIN, "too many incomplete fences") : rc;
    if ((rc = fence_add(f, args, t, error)) < 0) {
        if (f->count == 0)
            fence_forget(f);
        return rc;
    }
    if (f->count == f->nprocs) {
        f->merged->done = on_merged_done;
        f->merged->arg = f;
        commit_submit(k, TAKE(f->merged));
    }
    return 0;
}
