/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Names of services: [A-Za-z0-9_-]{1,64}. Checked before a name is looked up or becomes part of a
 * path. */
#ifndef BROKER_NAME_H
#define BROKER_NAME_H

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_NAME_MAX  64
#define SERVICE_NAME_SIZE (SERVICE_NAME_MAX + 1)

bool service_name_valid(const char *name);
/* The part of a topic before its first period. 0, or -EINVAL: no valid name. */
int service_name_of_topic(const char *topic, char ret[SERVICE_NAME_SIZE]);
/* May a guest register this name? "UID-..." with his own uid. */
bool service_name_is_of_user(const char *name, uint32_t uid);

#endif
