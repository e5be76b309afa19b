/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A name with {{tags}}: text without braces comes out as it went in, and what comes out for all
 * tasks can be expanded again to the same, as long as no value makes a new tag with what is around
 * it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shell/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct template_values v = { .id = 1234567890123,
                                 .name = "x1", /* no word of a tag: see above */
                                 .ntasks = 4,
                                 .nnodes = 2,
                                 .node_id = 1,
                                 .node_name = "node1",
                                 .task_rank = -1,
                                 .task_index = -1 };
    char *text = strndup((const char *)data, size);
    char *all = template_expand(text, &v);
    char *again = all ? template_expand(all, &v) : NULL;
    char *one;

    if (all && (!again || strcmp(all, again) != 0))
        abort();
    if (all && !strchr(text, '{') && strcmp(all, text) != 0)
        abort();
    v.task_rank = 3;
    v.task_index = 1;
    one = template_expand(text, &v);
    if (one && all && !template_is_per_task(text) && strcmp(one, all) != 0)
        abort();
    free(one);
    free(again);
    free(all);
    free(text);
    return 0;
}
