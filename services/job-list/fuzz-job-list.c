/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What job-list reads from others: a query, and a record of the journal, which is listed after. */
#include "base/jsonx.h"
#include "job-list/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_decrefp) json_t *o = jsonx_decode_object((const char *)data, size, NULL);
    CLEANUP(json_decrefp) json_t *array = json_array();
    CLEANUP(json_decrefp) json_t *everything = json_object();
    struct table table;
    struct job *job;
    struct query q;

    if (!o)
        return 0;
    table_init(&table);
    (void)table_apply(&table, o, &job);
    if (query_parse(o, &q, NULL) == 0)
        (void)table_list(&table, &q, array);
    if (query_parse(everything, &q, NULL) == 0)
        (void)table_list(&table, &q, array);
    table_deinit(&table);
    return 0;
}
