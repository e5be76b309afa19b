/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* -SNAME=VALUE, -S NAME=VALUE, --setattr=NAME=VALUE, --setattr NAME=VALUE. What is wrong with an
 * argument is flux-broker's to say. */
#include <stddef.h>
#include <string.h>

#include "supervise/brokerargs.h"

/* What follows the option: in the same word, or the next. NULL: no such option. */
static const char *assignment(char *const *arg)
{
    if (strcmp(arg[0], "-S") == 0 || strcmp(arg[0], "--setattr") == 0)
        return arg[1];
    if (strncmp(arg[0], "--setattr=", 10) == 0)
        return arg[0] + 10;
    return strncmp(arg[0], "-S", 2) == 0 ? arg[0] + 2 : NULL;
}

const char *brokerargs_attr(char *const *args, const char *name)
{
    const size_t size = strlen(name);
    const char *value = NULL;

    for (size_t i = 0; args && args[i]; i++) {
        const char *a = assignment(args + i);

        if (a && strncmp(a, name, size) == 0 && a[size] == '=')
            value = a + size + 1;
    }
    return value;
}
