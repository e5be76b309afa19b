/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Eventlogs (RFC 18). Decoding refuses an entry without a positive timestamp, without a name, with
 * a context that is not an object, and empty lines. The last line may lack its newline. */
#include "base/eventlog.h"

#include <string.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "base/monotime.h"

#define ENTRIES_MAX (1 << 20)

json_t *eventlog_entry_create(double timestamp, const char *name, const json_t *context)
{
    CLEANUP(json_decrefp) json_t *entry = NULL;

    if (!name || !name[0] || timestamp < 0 || (context && !json_is_object(context))) {
        errno = EINVAL;
        return NULL;
    }
    if (timestamp == 0)
        timestamp = walltime();
    entry = json_pack("{s:f s:s}", "timestamp", timestamp, "name", name);
    if (!entry || (context && json_object_set(entry, "context", (json_t *)context) < 0)) {
        errno = ENOMEM;
        return NULL;
    }
    return TAKE(entry);
}

json_t *eventlog_entry_pack(double timestamp, const char *name, const char *fmt, ...)
{
    CLEANUP(json_decrefp) json_t *context = NULL;

    if (fmt) {
        va_list ap;

        errno = 0;
        va_start(ap, fmt);
        context = json_vpack_ex(NULL, 0, fmt, ap);
        va_end(ap);
        if (!context) {
            errno = jsonx_errno(EINVAL);
            return NULL;
        }
    }
    return eventlog_entry_create(timestamp, name, context);
}

int eventlog_entry_parse(const json_t *entry, double *ret_timestamp, const char **ret_name,
                         json_t **ret_context)
{
    json_t *timestamp = json_object_get(entry, "timestamp");
    const char *name = json_string_value(json_object_get(entry, "name"));
    json_t *context = json_object_get(entry, "context");

    if (!json_is_number(timestamp) || !(json_number_value(timestamp) > 0) || !name || !name[0] ||
        (context && !json_is_object(context)))
        return -EPROTO;
    if (ret_timestamp)
        *ret_timestamp = json_number_value(timestamp);
    if (ret_name)
        *ret_name = name;
    if (ret_context)
        *ret_context = context;
    return 0;
}

char *eventlog_entry_encode(const json_t *entry)
{
    CLEANUP(freep) char *s = NULL;
    size_t size;
    char *line;

    if (eventlog_entry_parse(entry, NULL, NULL, NULL) < 0) {
        errno = EINVAL;
        return NULL;
    }
    if (!(s = jsonx_encode(entry, &size)) || !(line = realloc(s, size + 1)))
        return NULL;
    s = NULL;
    memcpy(line + size - 1, "\n", 2);
    return line;
}

json_t *eventlog_entry_decode(const char *line, size_t len, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *entry = NULL;

    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (memchr(line, '\n', len)) {
        errorx_set(error, "eventlog entry spans more than one line");
        errno = EPROTO;
        return NULL;
    }
    if (!(entry = jsonx_decode_object(line, len, error)))
        return NULL;
    if (eventlog_entry_parse(entry, NULL, NULL, NULL) < 0) {
        errorx_set(error, "eventlog entry needs a positive timestamp, a name, and an object as "
                          "context if it has one");
        errno = EPROTO;
        return NULL;
    }
    return TAKE(entry);
}

json_t *eventlog_decode(const char *text, size_t len, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *entries = json_array();
    const char *end = text + len;

    if (!entries) {
        errno = ENOMEM;
        return NULL;
    }
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *next = newline ? newline + 1 : end;
        json_t *entry;

        if (json_array_size(entries) >= ENTRIES_MAX) {
            errorx_set(error, "eventlog has more than %d entries", ENTRIES_MAX);
            errno = EPROTO;
            return NULL;
        }
        if (!(entry = eventlog_entry_decode(text, (size_t)(next - text), error)))
            return NULL;
        if (json_array_append_new(entries, entry) < 0) {
            errno = ENOMEM;
            return NULL;
        }
        text = next;
    }
    return TAKE(entries);
}

json_t *eventlog_find(const json_t *entries, const char *name)
{
    size_t i;
    json_t *entry;

    json_array_foreach ((json_t *)entries, i, entry) {
        const char *s = json_string_value(json_object_get(entry, "name"));

        if (s && strcmp(s, name) == 0)
            return entry;
    }
    return NULL;
}
