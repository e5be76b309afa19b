/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Environments. Names that no environment can hold (empty, with '=') are left out; values come from
 * JSON strings, which cannot hold NUL here. */
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "env.h"

static bool name_ok(const char *name)
{
    return name[0] && !strchr(name, '=');
}

int env_init(struct env *env, const json_t *jobspec_environment)
{
    const char *name;
    json_t *value;

    env->vars = json_object();
    if (!env->vars)
        return -ENOMEM;
    json_object_foreach ((json_t *)jobspec_environment, name, value) {
        if (json_is_string(value) && name_ok(name) &&
            json_object_set_nocheck(env->vars, name, value) < 0)
            return -ENOMEM;
    }
    return 0;
}

void env_deinit(struct env *env)
{
    json_decref(env->vars);
    env->vars = NULL;
}

int env_set(struct env *env, const char *name, const char *fmt, ...)
{
    CLEANUP(freep) char *value = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&value, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -ENOMEM;
    return json_object_set_new_nocheck(env->vars, name, json_string_nocheck(value)) < 0 ? -ENOMEM
                                                                                        : 0;
}

void env_unset(struct env *env, const char *name)
{
    (void)json_object_del(env->vars, name);
}

const char *env_get(const struct env *env, const char *name)
{
    return json_string_value(json_object_get(env->vars, name));
}

int env_copy(const struct env *env, struct env *ret)
{
    ret->vars = json_copy(env->vars);
    return ret->vars ? 0 : -ENOMEM;
}

char **env_strings(const struct env *env)
{
    const size_t n = json_object_size(env->vars);
    size_t size = (n + 1) * sizeof(char *), i = 0;
    const char *name;
    json_t *value;
    char **list, *p;

    json_object_foreach (env->vars, name, value)
        size += strlen(name) + json_string_length(value) + 2;
    list = malloc(size);
    if (!list)
        return NULL;
    p = (char *)(list + n + 1);
    json_object_foreach (env->vars, name, value) {
        list[i++] = p;
        p = stpcpy(p, name);
        *p++ = '=';
        p = stpcpy(p, json_string_value(value)) + 1;
    }
    list[i] = NULL;
    return list;
}
