/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the conformance programs share: one handle, which cmocka's set-up opens, and how a future
 * ended. */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <flux/core.h>

#define LIMIT 20. /* seconds: only a failure takes so long */

static flux_t *h;

static int setup(void **state)
{
    h = flux_open(NULL, 0);
    return h ? 0 : -1;
}

static int teardown(void **state)
{
    flux_close(h);
    return 0;
}

/* 0 or the error number of a future, which is destroyed. An error has a sentence. */
static int outcome(flux_future_t *f)
{
    int errnum = 0;

    if (!f)
        return errno;
    if (flux_future_wait_for(f, LIMIT) < 0 || flux_future_get(f, NULL) < 0) {
        errnum = errno;
        assert_true(strlen(flux_future_error_string(f)) > 0);
    }
    flux_future_destroy(f);
    return errnum;
}

#endif
