/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What each user has in flight: requests and their bytes, over all his connections. */
#ifndef SERVICE_QUOTA_H
#define SERVICE_QUOTA_H

#include <stddef.h>
#include <stdint.h>
#include <flux/types.h>
#include "base/cleanup.h"

struct quota_limits {
    size_t bytes;
    size_t requests;
};

/* What a guest may have in flight, and the owner: enough for every daemon, and still an end. */
extern const struct quota_limits quota_limits_guest; /* 64 MiB, 8192 */
extern const struct quota_limits quota_limits_owner; /* 4 GiB, 1048576 */

struct quota;

int quota_new(uint32_t owner, const struct quota_limits *owner_limits,
              const struct quota_limits *guest_limits, struct quota **ret);
struct quota *quota_free(struct quota *q);
DEFINE_CLEANUP(struct quota *, quota_free)

/* One request of so many bytes. 0, or -EAGAIN with a sentence, -ENOMEM. */
int quota_charge(struct quota *q, uint32_t uid, size_t bytes, flux_error_t *error);
void quota_release(struct quota *q, uint32_t uid, size_t bytes);

size_t quota_users(const struct quota *q); /* with something in flight */
size_t quota_requests(const struct quota *q, uint32_t uid);
size_t quota_bytes(const struct quota *q, uint32_t uid);

#endif
