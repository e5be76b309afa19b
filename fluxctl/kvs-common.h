/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the kvs commands share. */
#ifndef FLUXCTL_KVS_COMMON_H
#define FLUXCTL_KVS_COMMON_H

#include <flux/core.h>

#include "options.h"

#define KVS_NAMESPACE_OPTION                                                            \
    {                                                                                   \
        'N', "namespace", "NS", "Namespace (default $FLUX_KVS_NAMESPACE, then primary)" \
    }

const char *kvs_option_namespace(const struct cmdline *c);

/* The snapshot of --at as a tree object, malloc'd; NULL: there is none, or it is wrong and this was
 * complained about (*ret_status). */
char *kvs_option_at(const struct cmdline *c, int *ret_status);

/* Why a request that names a key, or cannot commit, failed: and in which namespace, if that may be
 * the reason. option: that chooses it; ns: its argument, or NULL. EXIT_FAILURE. */
int kvs_complain(flux_future_t *f, const char *option, const char *ns, const char *what);

/* Why (errno) a transaction does not take a key. EXIT_FAILURE. */
int kvs_complain_key(const char *key);

#endif
