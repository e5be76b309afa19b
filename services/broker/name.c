/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Service names come from topics, which come from anybody: they are copied out under a strict
 * alphabet, so that no name holds a slash, a dot or a control character. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/name.h"

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

int service_name_of_topic(const char *topic, char ret[SERVICE_NAME_SIZE])
{
    size_t n = 0;

    for (; topic[n] && topic[n] != '.'; n++) {
        if (n == SERVICE_NAME_MAX || !is_name_char(topic[n]))
            return -EINVAL;
        ret[n] = topic[n];
    }
    ret[n] = '\0';
    return n > 0 ? 0 : -EINVAL;
}

bool service_name_valid(const char *name)
{
    char copy[SERVICE_NAME_SIZE];

    return !strchr(name, '.') && service_name_of_topic(name, copy) == 0;
}

bool service_name_is_of_user(const char *name, uint32_t uid)
{
    char prefix[16];
    const int n = snprintf(prefix, sizeof(prefix), "%u-", uid);

    return strncmp(name, prefix, (size_t)n) == 0 && name[n];
}
