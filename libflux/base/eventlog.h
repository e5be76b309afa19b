/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Eventlogs (RFC 18): one JSON object a line, {"timestamp":T,"name":S[,"context":{}]}. */
#ifndef BASE_EVENTLOG_H
#define BASE_EVENTLOG_H

#include <jansson.h>
#include <flux/types.h>

/* timestamp 0: now. context: borrowed, may be NULL. */
json_t *eventlog_entry_create(double timestamp, const char *name, const json_t *context);
json_t *eventlog_entry_pack(double timestamp, const char *name, const char *fmt, ...);
/* name and context are lent by entry; context NULL if absent. 0 or -EPROTO. */
int eventlog_entry_parse(const json_t *entry, double *ret_timestamp, const char **ret_name,
                         json_t **ret_context);
char *eventlog_entry_encode(const json_t *entry); /* with the newline; malloc'd */
json_t *eventlog_entry_decode(const char *line, size_t len, flux_error_t *error);
json_t *eventlog_decode(const char *text, size_t len, flux_error_t *error); /* array of entries */
/* Does the array contain an event of this name? Lent, NULL if not. */
json_t *eventlog_find(const json_t *entries, const char *name);

#endif
