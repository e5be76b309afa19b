/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Keys. Bounded in length and depth, because directories are walked and stored by recursion. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cleanup.h"
#include "kvs/key.h"

int key_normalize(const char *key, char **ret)
{
    size_t len = strlen(key);
    size_t names = 0;
    char *copy;
    char *p;

    if (len == 0 || len >= KEY_SIZE_MAX)
        return -EINVAL;
    if (!(copy = malloc(len + 2)))
        return -ENOMEM;
    p = copy;
    for (const char *s = key + strspn(key, "."); *s; s += strspn(s, ".")) {
        size_t n = strcspn(s, ".");

        if (names++ > 0)
            *p++ = '.';
        memcpy(p, s, n);
        p += n;
        s += n;
    }
    if (names == 0)
        *p++ = '.';
    *p = '\0';
    if (names > KEY_NAMES_MAX) {
        free(copy);
        return -EINVAL;
    }
    *ret = copy;
    return 0;
}

bool key_is_root(const char *key)
{
    return key[0] == '.' && key[1] == '\0';
}

bool key_next(const char **pos, const char **ret_name, size_t *ret_len)
{
    const char *s = *pos;

    if (*s == '.')
        s++;
    if (!*s)
        return false;
    *ret_name = s;
    *ret_len = strcspn(s, ".");
    *pos = s + *ret_len;
    return true;
}

int key_join(const char *target, const char *rest, char **ret)
{
    CLEANUP(freep) char *text = NULL;

    if (asprintf(&text, "%s.%s", target, rest) < 0) {
        text = NULL;
        return -ENOMEM;
    }
    return key_normalize(text, ret);
}
