/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Values of any length between the key-value store and standard input and output. */
#ifndef FLUXCTL_KVS_VALUE_H
#define FLUXCTL_KVS_VALUE_H

#include <flux/core.h>

/* The value of key becomes what can be read on standard input. txn_flags: of flux_kvs_txn_put().
 * EXIT_SUCCESS, or EXIT_FAILURE after complaining. */
int kvs_value_from_stdin(flux_t *h, flux_kvs_txn_t *txn, int txn_flags, const char *key);

/* Is this tree object, which a lookup with FLUX_KVS_TREEOBJ has found, a value in pieces that can
 * be printed one after the other? If not, look it up without that flag. */
bool kvs_value_is_long(flux_t *h, const char *treeobj);
/* Calls fn with one piece after the other. EXIT_SUCCESS, or EXIT_FAILURE after complaining, or what
 * else fn has returned: then there is an end. */
int kvs_value_each(flux_t *h, const char *treeobj,
                   int (*fn)(const void *data, size_t size, void *arg), void *arg);
/* To standard output. *ret_size: bytes printed. */
int kvs_value_print(flux_t *h, const char *treeobj, size_t *ret_size);

#endif
