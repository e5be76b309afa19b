/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-info.lookup: all keys are looked up at once, the answer waits for the last. One missing key
 * fails the request, and the sentence names it. */
#include <string.h>

#include "job-list/access.h"
#include "job-list/info.h"

#define KEYS_MAX 16
#define KEY_MAX  256

struct lookup {
    struct request *req;
    struct access *access;
    flux_jobid_t id;
    size_t nkeys;
    size_t nwaiting;
    flux_future_t *futures[KEYS_MAX];
    char keys[KEYS_MAX][KEY_MAX];
    flux_future_t *exists; /* a key is missing: the eventlog of the job */
    char missing[KEY_MAX + 64];
};

static void lookup_free(struct lookup *lk)
{
    if (!lk)
        return;
    for (size_t i = 0; i < lk->nkeys; i++)
        flux_future_destroy(lk->futures[i]);
    flux_future_destroy(lk->exists);
    access_free(lk->access);
    request_on_gone(lk->req, NULL, NULL);
    request_unref(lk->req);
    free(lk);
}

static void on_gone(struct request *req, void *arg)
{
    lookup_free(arg);
}

/* The sentence for a missing key: is it the key, or is there no such job? */
static void on_eventlog(flux_future_t *f, void *arg)
{
    struct lookup *lk = arg;
    const char *text;

    if (flux_kvs_lookup_get(f, &text) < 0 && errno == ENOENT)
        access_fail(lk->req, -ENOENT);
    else
        (void)request_fail(lk->req, ENOENT, "%s", lk->missing);
    lookup_free(lk);
}

static int explain_missing(struct lookup *lk, const char *key)
{
    flux_t *h = service_flux(request_service(lk->req));
    char eventlog[64];

    (void)snprintf(lk->missing, sizeof(lk->missing), "%s: there is no such key", key);
    (void)flux_job_kvs_key(eventlog, sizeof(eventlog), lk->id, "eventlog");
    lk->exists = flux_kvs_lookup(h, KVS_PRIMARY_NAMESPACE, 0, eventlog);
    return lk->exists && flux_future_then(lk->exists, -1., on_eventlog, lk) == 0 ? 0 : -errno;
}

/* 0, or the request was answered: 1, or is going to be: 2. */
static int collect(struct lookup *lk, json_t *o)
{
    for (size_t i = 0; i < lk->nkeys; i++) {
        const char *text = NULL;

        if (flux_kvs_lookup_get(lk->futures[i], &text) < 0) {
            int errnum = errno;

            if (errnum == ENOENT && explain_missing(lk, lk->keys[i]) == 0)
                return 2;
            (void)request_fail(lk->req, errnum, "%s: %s", lk->keys[i], strerror(errnum));
            return 1;
        }
        if (json_object_set_new(o, lk->keys[i], json_string(text ? text : "")) < 0) {
            (void)request_fail(lk->req, EILSEQ, "%s is not text", lk->keys[i]);
            return 1;
        }
    }
    return 0;
}

static void on_value(flux_future_t *f, void *arg)
{
    struct lookup *lk = arg;
    CLEANUP(json_decrefp) json_t *o = NULL;
    int rc;

    if (--lk->nwaiting > 0)
        return;
    o = json_pack("{s:I}", "id", (json_int_t)lk->id);
    rc = o ? collect(lk, o) : 1;
    if (!o)
        (void)request_fail(lk->req, ENOMEM, NULL);
    if (rc == 0)
        (void)request_respond_json(lk->req, o);
    if (rc != 2)
        lookup_free(lk);
}

static void on_access(int rc, void *arg)
{
    struct lookup *lk = arg;

    lk->access = NULL;
    for (size_t i = 0; rc == 0 && i < lk->nkeys; i++) {
        char key[KEY_MAX + 64];

        (void)flux_job_kvs_key(key, sizeof(key), lk->id, lk->keys[i]);
        lk->futures[i] =
            flux_kvs_lookup(service_flux(request_service(lk->req)), KVS_PRIMARY_NAMESPACE, 0, key);
        if (!lk->futures[i] || flux_future_then(lk->futures[i], -1., on_value, lk) < 0)
            rc = -errno;
        else
            lk->nwaiting++;
    }
    if (rc == 0)
        return;
    access_fail(lk->req, rc);
    lookup_free(lk);
}

static int read_keys(struct request *req, struct lookup *lk)
{
    const json_t *keys = json_object_get(request_json(req), "keys");
    json_t *o;
    size_t i;

    if (json_array_size(keys) == 0 || json_array_size(keys) > KEYS_MAX)
        return request_explain(req, EINVAL, "keys: must be 1 to %d names", KEYS_MAX);
    json_array_foreach ((json_t *)keys, i, o) {
        const char *key = json_string_value(o);

        if (!key || !key[0] || strlen(key) >= KEY_MAX)
            return request_explain(req, EINVAL, "keys[%zu]: not the name of a key", i);
        (void)strcpy(lk->keys[i], key);
    }
    lk->nkeys = json_array_size(keys);
    return 0;
}

int info_lookup(struct request *req)
{
    CLEANUP(freep) struct lookup *lk = calloc(1, sizeof(*lk));
    struct lookup *started;
    struct access *access;
    int rc;

    if (!lk)
        return -ENOMEM;
    lk->id = (flux_jobid_t)json_integer_value(json_object_get(request_json(req), "id"));
    if ((rc = read_keys(req, lk)) < 0)
        return rc;
    started = TAKE(lk);
    started->req = request_ref(req);
    request_on_gone(req, on_gone, started);
    access = access_check(req, started->id, on_access, started);
    if (access) /* else it is over already, and so may be the lookup */
        started->access = access;
    return 0;
}
