/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Growing text, always NUL-terminated once something was added. A failed addition leaves what was
 * there and is remembered: check `failed` once at the end. */
#ifndef JOB_MANAGER_TEXT_H
#define JOB_MANAGER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *s; /* NULL while empty */
    size_t len, cap;
    bool failed; /* memory ran out */
};

void text_deinit(struct text *t);
void text_add(struct text *t, const void *data, size_t len);
void text_adds(struct text *t, const char *s);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_json_string(struct text *t, const char *s); /* quoted and escaped; s is UTF-8 */
char *text_steal(struct text *t); /* the text, malloc'd ("" if empty), and t is empty; NULL if it
                                     failed */

#endif
