/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Filling in a flux_error_t. The text is always terminated; what does not fit is cut. errno is
 * kept, so that a caller may format strerror(errno) and still return it. */
#include "base/errorx.h"

#include <errno.h>
#include <stdio.h>

static void errorx_vset(flux_error_t *error, const char *fmt, va_list ap)
{
    int saved_errno = errno;

    if (error && vsnprintf(error->text, sizeof(error->text), fmt, ap) < 0)
        error->text[0] = '\0';
    errno = saved_errno;
}

void errorx_set(flux_error_t *error, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    errorx_vset(error, fmt, ap);
    va_end(ap);
}

int errorx_fail(flux_error_t *error, int errnum, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    errorx_vset(error, fmt, ap);
    va_end(ap);
    return -errnum;
}
