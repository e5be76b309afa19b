/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Environment rules, one a line. What names files or is a regular expression, whose compilation is
 * the C library's, is left out. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "env-rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_decrefp) json_t *env = json_pack("{s:s s:s}", "PATH", "/bin", "A", "");
    char *text = strndup((const char *)data, size);
    char *save = NULL;

    for (char *rule = strtok_r(text, "\n", &save); rule; rule = strtok_r(NULL, "\n", &save)) {
        flux_error_t error = { "" };
        const char *name;
        json_t *value;

        if (rule[0] == '^' || rule[0] == '/' || strncmp(rule, "-/", 2) == 0)
            continue;
        if (env_apply(env, rule, &error) < 0 && !error.text[0])
            abort();
        json_object_foreach (env, name, value) {
            if (!name[0] || strchr(name, '=') || !json_is_string(value))
                abort();
        }
    }
    free(text);
    return 0;
}
