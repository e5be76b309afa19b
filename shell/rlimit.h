/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The shell option rlimit: {NAME: VALUE}, resource limits of the tasks. */
#ifndef SHELL_RLIMIT_H
#define SHELL_RLIMIT_H

#include <sys/resource.h>
#include "shell.h"

#define LIMITS_MAX 16

struct limits {
    struct {
        int resource;
        struct rlimit value;
    } item[LIMITS_MAX];
    size_t count;
};

/* What the option says, below the hard limits of this process; more than those is lowered, with a
 * warning to the user. 0, or -EINVAL with a sentence. */
int limits_read(struct shell *shell, struct limits *ret, flux_error_t *error);
/* In the child of a fork. 0 or -errno. */
int limits_apply(const struct limits *l);

#endif
