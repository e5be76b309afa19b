/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For tests: transactions, lookups and watches of clients of a KVS over a store in memory. */
#ifndef KVS_FAKE_CLIENT_H
#define KVS_FAKE_CLIENT_H

#include "kvs/fake-content.h"

#define FAKE_CACHE (4u << 20)

/* cmocka's: *state is a struct fake with a cache of FAKE_CACHE bytes. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* Operations as JSON text, with ' for ". */
#define FAKE_VAL(base64)         "{'ver':1,'type':'val','data':'" base64 "'}"
#define FAKE_LINK(target)        "{'ver':1,'type':'symlink','data':{'target':'" target "'}}"
#define FAKE_OP(key, dirent)     "{'key':'" key "','flags':0,'dirent':" dirent "}"
#define FAKE_APPEND(key, dirent) "{'key':'" key "','flags':32,'dirent':" dirent "}"

/* A transaction under way. ops: JSON text of the array, with ' for ". Freed by the caller. */
struct result {
    bool done;
    int err;
    int64_t seq;
    char rootref[BLOBREF_STRING_SIZE];
};
struct result *fake_begin(struct fake *f, const char *ns, int flags, const char *ops);
/* The same, run to its end. Returns 0 or -errno. */
int fake_commit(struct fake *f, const char *ns, const char *ops);
int fake_put(struct fake *f, const char *ns, const char *key, const char *value);
int fake_append(struct fake *f, const char *ns, const char *key, const char *value);
int fake_unlink(struct fake *f, const char *ns, const char *key);
int fake_create(struct fake *f, const char *ns, uint32_t owner);
int fake_remove(struct fake *f, const char *ns);

/* Runs a lookup to its end. Value text (bytes with NUL), or the object's JSON if flags say so;
 * malloc'd. NULL: *ret_err is -errno. */
char *fake_lookup(struct fake *f, const char *ns, int flags, const char *key, int *ret_err);
char *fake_lookup_as(struct fake *f, uint32_t userid, const char *ns, int flags, const char *key,
                     int *ret_err);

/* Names enough under a directory that it has a blob of its own. */
void fake_fill(struct fake *f, const char *dir);
/* What a lookup answers is this value, or this errno. */
void fake_assert_value(struct fake *f, const char *ns, const char *key, const char *expected);
void fake_assert_error(struct fake *f, const char *ns, int flags, const char *key, int expected);

/* What a watch said: values separated by "|", then "!ERRNO-NAME" at its end. */
struct watching {
    struct watch *watch;
    struct strbuf said;
    bool ended;
    int flags;
};
struct watching *fake_watch(struct fake *f, const char *ns, int flags, const char *key);
/* One that goes on where another process left it. */
struct watching *fake_watch_on(struct fake *f, const char *ns, int flags, const char *key,
                               const struct watch_progress *progress);
const char *watching_said(struct watching *w);
void watching_free(struct watching *w); /* cancels if it lives */

#endif
