/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The wrapped allocators. Invariant: one failure per attempt, so that what an operation does after
 * a failure, in order to clean up, has memory. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/nomem.h"
#include "base/testing.h"

#define ALLOCATIONS_MAX 5000 /* of one operation */

static long countdown = -1; /* this many succeed, then one fails; -1: all succeed */
static bool failed;

static bool fails(void)
{
    if (countdown < 0 || countdown-- > 0)
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
FILE *__real_open_memstream(char **buf, size_t *size);
void *__real__Znwm(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
FILE *__wrap_open_memstream(char **buf, size_t *size);
int __wrap_asprintf(char **ret, const char *fmt, ...);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);
int __wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...);
int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap);
void *__wrap__Znwm(size_t size);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);
void _ZSt17__throw_bad_allocv(void) __attribute__((noreturn));

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : __real_strndup(s, n);
}

FILE *__wrap_open_memstream(char **buf, size_t *size)
{
    return fails() ? NULL : __real_open_memstream(buf, size);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
    return fails() ? -1 : __real_vasprintf(ret, fmt, ap);
}

int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap)
{
    return __wrap_vasprintf(ret, fmt, ap);
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = __wrap_vasprintf(ret, fmt, ap);
    va_end(ap);
    return rc;
}

int __wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = __wrap_vasprintf(ret, fmt, ap);
    va_end(ap);
    return rc;
}

/* operator new: the TOML parser. */
void *__wrap__Znwm(size_t size)
{
    if (fails())
        _ZSt17__throw_bad_allocv();
    return __real__Znwm(size);
}

/* jansson 2.14 drops a byte of a long string, and goes on, when it cannot grow the buffer that it
 * reads into: not ours to repair, so these allocations, of 32, 64, 128... bytes, succeed. */
static void *jansson_malloc(size_t size)
{
    return size >= 32 && (size & (size - 1)) == 0 ? __real_malloc(size) : __wrap_malloc(size);
}

long nomem_suspend(void)
{
    const long saved = countdown;

    countdown = -1;
    return saved;
}

void nomem_resume(long saved)
{
    countdown = saved;
}

static void attempt(nomem_op_f op, void *arg, long n)
{
    int rc, errnum;

    failed = false;
    errno = 0;
    countdown = n;
    rc = op(arg);
    errnum = errno;
    countdown = -1;
    if (rc < 0 && !failed)
        fail_msg("it fails by itself: %s", strerror(errnum));
    if (rc < 0 && errnum != ENOMEM)
        fail_msg("allocation %ld failed, and the operation with \"%s\"", n, strerror(errnum));
}

void nomem_each(nomem_op_f op, void *arg, void (*settle)(void *arg))
{
    long n;

    json_set_alloc_funcs(jansson_malloc, free);
    attempt(op, arg, -1);
    if (settle)
        settle(arg);
    for (n = 0; n < ALLOCATIONS_MAX; n++) {
        attempt(op, arg, n);
        if (settle)
            settle(arg);
        if (!failed)
            break;
    }
    if (n == 0 || n == ALLOCATIONS_MAX)
        fail_msg("%s", n ? "it never ends" : "it allocates nothing: what was to be tested?");
}
