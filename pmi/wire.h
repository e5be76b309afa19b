/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lines of the PMI-1 simple wire protocol (RFC 13): "cmd=put kvsname=a key=b value=c". */
#ifndef PMI_WIRE_H
#define PMI_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Sizes that our server announces; the NUL counts. */
#define PMI_NAME_MAX   256
#define PMI_KEY_MAX    64
#define PMI_VALUE_MAX  1024

#define PMI_LINE_MAX   2048 /* with LF and NUL; of any peer */
#define PMI_FIELDS_MAX 16

struct pmi_field {
    const char *key, *value;
};

/* Points into itself: not to be copied. */
struct pmi_msg {
    size_t count;
    struct pmi_field fields[PMI_FIELDS_MAX];
    char text[PMI_LINE_MAX];
};

/* Fields in any order, blanks between them; "value=" takes the rest of the line. len is without
 * the LF. -EMSGSIZE for a line that is too long; -EPROTO for one with control characters or
 * others than ASCII, a field without "=" or without a name, a field given twice, or too many. */
int pmi_msg_parse(const char *line, size_t len, struct pmi_msg *ret);
const char *pmi_msg_get(const struct pmi_msg *m, const char *key); /* lent; NULL: absent */
/* -ENOENT: absent; -EPROTO: no such number. */
int pmi_msg_get_int(const struct pmi_msg *m, const char *key, int *ret);

/* A line and its LF. The length or -EMSGSIZE. */
int pmi_format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

bool pmi_word_valid(const char *s, size_t size);  /* 1 to size-1 visible characters but "=" */
bool pmi_value_valid(const char *s, size_t size); /* 0 to size-1 visible characters */

/* Cuts a stream into lines. */
struct pmi_reader {
    size_t len;
    char buf[PMI_LINE_MAX];
};

/* One read(2): the number of bytes, 0 at the end of the stream, -errno (-EAGAIN too); -EMSGSIZE if
 * there is no room, which cannot be while complete lines are taken out. */
ssize_t pmi_reader_fill(struct pmi_reader *r, int fd);
/* Take a line out, without its LF, NUL-terminated. 1: there it is; 0: not complete yet; -EMSGSIZE:
 * too long; -EPROTO: a NUL in it. */
int pmi_reader_line(struct pmi_reader *r, char line[PMI_LINE_MAX], size_t *ret_len);

#endif
