/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RFC 24 data events and RFC 42 I/O objects. Decoding refuses unknown encodings, wrong types and
 * bad base64; it never guesses. */
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/iodata.h"

/* Length of the character at p (1 to 4), 0 if it is none, -1 if it is cut off by the end. Follows
 * the table of well-formed sequences in the Unicode standard: no surrogates, no overlong forms. */
static int character_length(const uint8_t *p, size_t size)
{
    uint8_t low = 0x80, high = 0xbf;
    int len;

    if (p[0] == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    for (int i = 1; i < len; i++) {
        if ((size_t)i >= size)
            return -1;
        if (p[i] < low || p[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

size_t iodata_text_length(const void *data, size_t size, bool *ret_partial)
{
    const uint8_t *p = data;
    size_t n = 0;

    *ret_partial = false;
    while (n < size) {
        const int len = character_length(p + n, size - n);

        if (len <= 0) {
            *ret_partial = len < 0;
            break;
        }
        n += len;
    }
    return n;
}

static int put_data(json_t *o, const void *data, size_t size)
{
    CLEANUP(freep) char *text = NULL;
    bool partial;

    if (iodata_text_length(data, size, &partial) == size)
        return json_object_set_new_nocheck(o, "data", json_stringn_nocheck(data, size));
    text = base64_encode(data, size, NULL);
    if (!text || json_object_set_new_nocheck(o, "data", json_string_nocheck(text)) < 0)
        return -1;
    return json_object_set_new_nocheck(o, "encoding", json_string_nocheck("base64"));
}

json_t *iodata_encode(const char *stream, const char *rank, const void *data, size_t size, bool eof)
{
    CLEANUP(json_decrefp) json_t *o = json_pack("{s:s s:s}", "stream", stream, "rank", rank);

    if (!o || (size > 0 && put_data(o, data, size) < 0) ||
        (eof && json_object_set_new_nocheck(o, "eof", json_true()) < 0))
        return NULL;
    return TAKE(o);
}

/* true when eof is set: a boolean, or the string "true" that an example in RFC 24 shows. */
static int decode_eof(const json_t *v, bool *ret)
{
    *ret = json_is_true(v) || (json_is_string(v) && strcmp(json_string_value(v), "true") == 0);
    return !v || json_is_boolean(v) || json_is_string(v) ? 0 : -EPROTO;
}

static int decode_data(const json_t *data, const char *encoding, struct iodata *io)
{
    const char *s = json_string_value(data);
    const size_t len = json_string_length(data);

    if (!s)
        return -EPROTO;
    if (encoding && strcmp(encoding, "base64") == 0) {
        io->data = base64_decode(s, len, &io->size);
        return io->data || len == 0 ? 0 : errno == ENOMEM ? -ENOMEM : -EPROTO;
    }
    if (encoding && strcasecmp(encoding, "UTF-8") != 0)
        return -EPROTO;
    io->data = malloc(len + 1);
    if (!io->data)
        return -ENOMEM;
    memcpy(io->data, s, len + 1);
    io->size = len;
    return 0;
}

int iodata_decode(const json_t *o, struct iodata *ret)
{
    struct iodata io = { .rank = "" };
    const json_t *data = json_object_get(o, "data");
    const json_t *rank = json_object_get(o, "rank");
    const json_t *encoding = json_object_get(o, "encoding");
    int rc;

    io.stream = json_string_value(json_object_get(o, "stream"));
    if (!io.stream || (rank && !json_is_string(rank)) || (encoding && !json_is_string(encoding)))
        return -EPROTO;
    if (rank)
        io.rank = json_string_value(rank);
    if ((rc = decode_eof(json_object_get(o, "eof"), &io.eof)) < 0)
        return rc;
    if (data && (rc = decode_data(data, json_string_value(encoding), &io)) < 0) {
        iodata_deinit(&io);
        return rc;
    }
    *ret = io;
    return 0;
}

void iodata_deinit(struct iodata *io)
{
    free(io->data);
    io->data = NULL;
    io->size = 0;
}
