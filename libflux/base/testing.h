/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the unit tests include: cmocka and its prerequisites. */
#ifndef BASE_TESTING_H
#define BASE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
