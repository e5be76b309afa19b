/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the kvs commands share. */
#ifndef FLUXCTL_KVS_COMMON_H
#define FLUXCTL_KVS_COMMON_H

#include "options.h"

#define KVS_NAMESPACE_OPTION                                                            \
    {                                                                                   \
        'N', "namespace", "NS", "Namespace (default $FLUX_KVS_NAMESPACE, then primary)" \
    }

const char *kvs_option_namespace(const struct cmdline *c);

/* The snapshot of --at in *ret, NULL if there is none. -1: it is no tree object, complained. */
int kvs_option_at(const struct cmdline *c, const char **ret);

#endif
