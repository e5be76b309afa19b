/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A task map that can be read says the same in each of its notations. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/taskmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct taskmap *map, const char *text)
{
    CLEANUP(taskmap_freep) struct taskmap *again = NULL;
    const int n = taskmap_ntasks(map);

    if (!text || taskmap_parse(text, &again, NULL) < 0 || taskmap_ntasks(again) != n)
        abort();
    for (int i = 0; i < n; i++)
        if (taskmap_node(map, i) != taskmap_node(again, i) || taskmap_node(map, i) < 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = strndup((const char *)data, size);
    CLEANUP(freep) char *pmi = NULL, *json = NULL, *raw = NULL;
    struct taskmap *map;
    json_t *o;

    if (!text || taskmap_parse(text, &map, NULL) < 0)
        return 0;
    if (taskmap_ntasks(map) <= 1000 && taskmap_nnodes(map) <= 1000) {
        o = taskmap_encode(map);
        json = json_dumps(o, 0);
        json_decref(o);
        check(map, json);
        pmi = taskmap_encode_pmi(map);
        check(map, pmi);
        raw = taskmap_encode_raw(map);
        if (taskmap_ntasks(map) > 0 && !strstr(raw, ";;") && raw[0] != ';')
            check(map, raw);
    }
    taskmap_free(map);
    return 0;
}
