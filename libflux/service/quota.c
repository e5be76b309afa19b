/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Accounts per uid. An account exists while something is charged to it, so that a million uids cost
 * nothing afterwards; the owner's is part of the table and stays. Invariant: what is released was
 * charged (a programmer mistake otherwise). */
#include <assert.h>

#include "base/errorx.h"
#include "base/hash.h"
#include "service/quota.h"

const struct quota_limits quota_limits_guest = { .bytes = 64u << 20, .requests = 8192 };
const struct quota_limits quota_limits_owner = { .bytes = 4ul << 30, .requests = 1u << 20 };

struct account {
    uint32_t uid;
    size_t bytes;
    size_t requests;
    UT_hash_handle hh;
};

struct quota {
    uint32_t owner_uid;
    struct quota_limits owner_limits;
    struct quota_limits guest_limits;
    struct account owner;
    struct account *guests;
};

int quota_new(uint32_t owner, const struct quota_limits *owner_limits,
              const struct quota_limits *guest_limits, struct quota **ret)
{
    struct quota *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    q->owner_uid = owner;
    q->owner_limits = *owner_limits;
    q->guest_limits = *guest_limits;
    q->owner.uid = owner;
    *ret = q;
    return 0;
}

struct quota *quota_free(struct quota *q)
{
    struct account *a, *tmp;

    if (q) {
        HASH_ITER (hh, q->guests, a, tmp) {
            HASH_DEL(q->guests, a);
            free(a);
        }
        free(q);
    }
    return NULL;
}

static struct account *find(const struct quota *q, uint32_t uid)
{
    struct account *a;

    if (uid == q->owner_uid)
        return (struct account *)&q->owner;
    HASH_FIND(hh, q->guests, &uid, sizeof(uid), a);
    return a;
}

static struct account *find_or_add(struct quota *q, uint32_t uid)
{
    struct account *a = find(q, uid);

    if (a)
        return a;
    a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->uid = uid;
    HASH_ADD(hh, q->guests, uid, sizeof(a->uid), a);
    if (!a->hh.tbl) {
        free(a);
        return NULL;
    }
    return a;
}

static void drop_if_empty(struct quota *q, struct account *a)
{
    if (a == &q->owner || a->requests > 0)
        return;
    HASH_DEL(q->guests, a);
    free(a);
}

int quota_charge(struct quota *q, uint32_t uid, size_t bytes, flux_error_t *error)
{
    const struct quota_limits *max = uid == q->owner_uid ? &q->owner_limits : &q->guest_limits;
    struct account *a = find_or_add(q, uid);
    int rc = 0;

    if (!a)
        return errorx_fail(error, ENOMEM, "out of memory");
    if (a->requests >= max->requests)
        rc = errorx_fail(error, EAGAIN,
                         "user %u has %zu requests in flight, which is the limit: wait for answers",
                         uid, a->requests);
    else if (bytes > max->bytes - a->bytes)
        rc = errorx_fail(error, EAGAIN,
                         "user %u has %zu bytes in flight, %zu more would pass the limit of %zu",
                         uid, a->bytes, bytes, max->bytes);
    if (rc == 0) {
        a->bytes += bytes;
        a->requests++;
    }
    drop_if_empty(q, a);
    return rc;
}

void quota_release(struct quota *q, uint32_t uid, size_t bytes)
{
    struct account *a = find(q, uid);

    assert(a && a->requests > 0 && a->bytes >= bytes);
    a->bytes -= bytes;
    a->requests--;
    drop_if_empty(q, a);
}

size_t quota_users(const struct quota *q)
{
    return HASH_COUNT(q->guests) + (q->owner.requests > 0);
}

size_t quota_requests(const struct quota *q, uint32_t uid)
{
    const struct account *a = find(q, uid);

    return a ? a->requests : 0;
}

size_t quota_bytes(const struct quota *q, uint32_t uid)
{
    const struct account *a = find(q, uid);

    return a ? a->bytes : 0;
}
