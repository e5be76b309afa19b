/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For tests: each allocation of an operation fails once, in turn. What fails is what libflux itself
 * asks for, and what jansson asks for on its behalf: the test is linked with --wrap for the
 * functions in nomem.c, so it works with sanitizers too, and their leak check sees what a failure
 * left behind. libev is let through: it ends the process when it lacks memory. */
#ifndef BASE_NOMEM_H
#define BASE_NOMEM_H

#include <stdbool.h>

/* 0, or -1 with errno. */
typedef int (*nomem_op_f)(void *arg);

/* Runs op(arg) with its first allocation failing, then with its second, and so on until it has no
 * more: each time it must succeed or fail with ENOMEM. settle (may be NULL) is called after each
 * attempt, with all allocations succeeding again. Fails the test otherwise. */
void nomem_each(nomem_op_f op, void *arg, void (*settle)(void *arg));

/* Within an operation: what the test itself does on the other side does not count. */
long nomem_suspend(void);
void nomem_resume(long saved);

#endif
