/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Filling in a flux_error_t; error may be NULL. Cuts at the end of the buffer. */
#ifndef BASE_ERRORX_H
#define BASE_ERRORX_H

#include <flux/types.h>

void errorx_set(flux_error_t *error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets the text and returns -errnum, so that "return errorx_fail(e, EINVAL, ...)" reads well. */
int errorx_fail(flux_error_t *error, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
