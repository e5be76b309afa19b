/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Entries that decode encode to one line each that decodes to an equal entry. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/eventlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *entries = eventlog_decode((const char *)data, size, NULL);
    size_t i;
    json_t *entry;

    json_array_foreach (entries, i, entry) {
        char *line = eventlog_entry_encode(entry);
        json_t *again = eventlog_entry_decode(line, strlen(line), NULL);

        if (!json_equal(entry, again))
            abort();
        json_decref(again);
        free(line);
    }
    json_decref(entries);
    return 0;
}
