/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A format that parses prints a line for every job and for the headings, and never fails. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "format.h"
#include "job-fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const jobs[] = {
    "{\"id\":6731191091817518,\"userid\":4294967290,\"urgency\":16,\"priority\":16,"
    "\"t_submit\":100.5,\"t_run\":200.0,\"t_cleanup\":290.25,\"t_inactive\":291.0,\"state\":64,"
    "\"name\":\"\u00e9t\u00e9\",\"ntasks\":4,\"nodelist\":\"n[0-1]\",\"success\":false,"
    "\"result\":2,\"expiration\":1e308,\"waitstatus\":256,"
    "\"annotations\":{\"sched\":{\"queue\":\"q\"},\"user\":{\"x\":[1,{}]}}}",
    "{}",
};

static const char *heading(const char *field)
{
    const char *s = job_field_heading(field);

    return s ? s : "";
}

static void print(const struct format *f, const char *text)
{
    CLEANUP(freep) char *buf = NULL;
    json_t *job = json_loads(text, 0, NULL);
    struct job_fields fields = { .job = job, .now = 1000 };
    struct format_source source = { job_field_get, heading, &fields };
    size_t size = 0;
    FILE *file = open_memstream(&buf, &size);

    format_print_heading(f, &source, file);
    format_print(f, &source, file);
    if (fclose(file) != 0 || !strchr(buf, '\n'))
        abort();
    job_fields_deinit(&fields);
    json_decref(job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    struct format *f = NULL;
    flux_error_t error;

    if (format_parse(text, &f, &error) == 0) {
        for (size_t i = 0; i < format_nfields(f); i++) {
            if (!format_field(f, i)[0])
                abort();
        }
        for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
            print(f, jobs[i]);
        (void)format_free(f);
    }
    free(text);
    return 0;
}
