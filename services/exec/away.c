/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What an error of another service says: that there is no such thing, or that it cannot be asked
 * now. The second says nothing about a job. */
#include <errno.h>

#include "job.h"

bool kvs_says_none(int errnum)
{
    return errnum == ENOENT || errnum == ENOTSUP || errnum == ENOTDIR;
}

bool kvs_is_away(int errnum)
{
    return errnum == ECONNRESET || errnum == EIO || errnum == EHOSTUNREACH || errnum == EPIPE ||
           errnum == ETIMEDOUT || errnum == ECANCELED || errnum == ENOSYS || errnum == EAGAIN;
}
