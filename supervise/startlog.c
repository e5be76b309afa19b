/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shows the log of an instance that failed to start. Lines that are no JSON are left out. */
#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <syslog.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "supervise/startlog.h"

#define LINE_SIZE 4096
#define LINES_MAX 20

static int is_log(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return n > 4 && strcmp(e->d_name + n - 4, ".log") == 0;
}

static bool print_line(const char *line, const char *name, FILE *out)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(line, 0, NULL);
    const char *text = json_string_value(json_object_get(o, "MESSAGE"));
    json_t *priority = json_object_get(o, "PRIORITY");
    int level = json_is_string(priority) ? json_string_value(priority)[0] - '0'
                                         : (int)json_integer_value(priority);

    if (!text || level > LOG_WARNING)
        return false;
    fprintf(out, "  %.*s: %s\n", (int)strlen(name) - 4, name, text);
    return true;
}

void startlog_print(const char *dir, FILE *out)
{
    struct dirent **list;
    int n = scandir(dir, &list, is_log, alphasort);
    int lines = 0;

    for (int i = 0; i < n; i++) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(fclosep) FILE *f = NULL;
        char line[LINE_SIZE];

        if (asprintf(&path, "%s/%s", dir, list[i]->d_name) < 0)
            path = NULL;
        f = path ? fopen(path, "re") : NULL;
        while (f && lines < LINES_MAX && fgets(line, sizeof(line), f))
            lines += print_line(line, list[i]->d_name, out);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
}
