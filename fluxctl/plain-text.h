/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Text that others wrote (names of jobs, keys, notes, reasons), as it may be printed: control
 * characters would drive the reader's terminal or forge lines, so each is shown as a dot. Control
 * characters are those of ASCII (0 to 0x1f, 0x7f) and those that UTF-8 encodes as C2 80 to C2 9F,
 * of which terminals obey some too. Output of jobs and values of keys that were asked for are not
 * shown but handed on, and do not come here. */
#ifndef FLUXCTL_PLAIN_TEXT_H
#define FLUXCTL_PLAIN_TEXT_H

#include <stdio.h>

/* size bytes of s; the other one up to its NUL, without a newline behind it. */
void plain_write(FILE *f, const char *s, size_t size);
void plain_puts(FILE *f, const char *s);

/* In place; what is in keep ("\n\t") stays. Returns s. */
char *plain_text(char *s, const char *keep);

#endif
