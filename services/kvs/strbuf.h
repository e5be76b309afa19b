/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Text that grows. A failure to allocate is remembered and reported once, by strbuf_error(), so
 * that a writer of JSON need not check every comma. */
#ifndef KVS_STRBUF_H
#define KVS_STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

void strbuf_deinit(struct strbuf *sb);
/* Room for size more bytes, counted as used; NULL after a failure. */
void *strbuf_extend(struct strbuf *sb, size_t size);
void strbuf_add(struct strbuf *sb, const void *data, size_t size);
void strbuf_puts(struct strbuf *sb, const char *s);
void strbuf_number(struct strbuf *sb, uint64_t n);
void strbuf_hex(struct strbuf *sb, const uint8_t *data, size_t size);
void strbuf_base64(struct strbuf *sb, const void *data, size_t size);
void strbuf_json_string(struct strbuf *sb, const char *s); /* with its quotes */
/* NUL-terminated text, lent; NULL after a failure. */
const char *strbuf_text(struct strbuf *sb);
int strbuf_error(const struct strbuf *sb); /* 0 or -ENOMEM */

#endif
