/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static flux_kvs_txn_t *put(const char *key, const char *value)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();

    if (!txn || flux_kvs_txn_put(txn, 0, key, value) < 0)
        err(1, "flux_kvs_txn_put");
    return txn;
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_kvs_txn_t *a = put("commit.a", "1");
    flux_kvs_txn_t *b = put("commit.b", "2");
    flux_future_t *f, *f2;
    const char *root, *value;
    int seq, seq2;

    if (!h)
        err(1, "flux_open");
    f = flux_kvs_commit(h, NULL, 0, a);
    if (!f || flux_kvs_commit_get_sequence(f, &seq) < 0 ||
        flux_kvs_commit_get_treeobj(f, &root) < 0)
        err(1, "flux_kvs_commit");

    /* Two participants; both are this program. */
    flux_future_t *fence1 = flux_kvs_fence(h, NULL, 0, "demo-fence", 2, a);
    flux_future_t *fence2 = flux_kvs_fence(h, NULL, 0, "demo-fence", 2, b);
    if (!fence1 || !fence2 || flux_kvs_commit_get_sequence(fence1, &seq2) < 0 ||
        flux_future_get(fence2, NULL) < 0)
        err(1, "flux_kvs_fence");
    printf("%s\n", seq2 > seq ? "a later state" : "not later");

    /* The state after the first commit is still there. */
    f2 = flux_kvs_lookupat(h, 0, "commit.b", root);
    if (!f2 || flux_kvs_lookup_get(f2, &value) < 0)
        printf("then: %s\n", strerror(errno));
    flux_future_destroy(f2);
    f2 = flux_kvs_lookup(h, NULL, 0, "commit.b");
    if (!f2 || flux_kvs_lookup_get(f2, &value) < 0)
        err(1, "commit.b");
    printf("now: %s\n", value);
    flux_future_destroy(f2);
    flux_future_destroy(fence2);
    flux_future_destroy(fence1);
    flux_future_destroy(f);
    flux_kvs_txn_destroy(a);
    flux_kvs_txn_destroy(b);
    flux_close(h);
    return 0;
}
/* Output:
 * a later state
 * then: No such file or directory
 * now: 2
 */
