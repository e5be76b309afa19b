/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The environment of tasks. */
#ifndef SHELL_ENV_H
#define SHELL_ENV_H

#include <jansson.h>
#include "base/cleanup.h"

/* An environment as an object of strings. Functions return 0 or -ENOMEM. */
struct env {
    json_t *vars;
};

/* From the jobspec: strings set, null leaves out. */
int env_init(struct env *env, const json_t *jobspec_environment);
void env_deinit(struct env *env);
int env_set(struct env *env, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void env_unset(struct env *env, const char *name);
const char *env_get(const struct env *env, const char *name); /* NULL: not set */
int env_copy(const struct env *env, struct env *ret);
/* NULL-terminated "NAME=value" strings in one allocation: free() it. NULL ENOMEM. */
char **env_strings(const struct env *env);

#endif
