/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records and /proc/PID/stat: whatever is accepted can be formatted and read again the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record r, again;
    struct proc_stat st;
    char line[256];
    int n;

    (void)proc_stat_parse((const char *)data, size, &st);
    if (record_parse((const char *)data, size, &r) < 0)
        return 0;
    n = record_format(&r, line, sizeof(line));
    if (n < 0 || record_parse(line, (size_t)n, &again) < 0 || again.pid != r.pid ||
        again.starttime != r.starttime || again.informed != r.informed ||
        strcmp(again.boot_id, r.boot_id) != 0)
        abort();
    return 0;
}
