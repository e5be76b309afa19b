/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Printing the output of a job. With labels, a line belongs to one rank: when another rank writes
 * while a line is open, the line is ended first. */
#include "output-print.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/cleanup.h"

static const char *const levels[] = { "emergency", "alert",  "critical", "error",
                                      "warning",   "notice", "info",     "debug" };

void output_printer_init(struct output_printer *p, bool label, FILE *out, FILE *err)
{
    *p = (struct output_printer){ .label = label, .out.file = out, .err.file = err };
}

static struct output_stream *find_stream(struct output_printer *p, const char *name)
{
    if (name && strcmp(name, "stdout") == 0)
        return &p->out;
    if (name && strcmp(name, "stderr") == 0)
        return &p->err;
    return NULL;
}

static void on_header(struct output_printer *p, const json_t *context)
{
    const json_t *encoding = json_object_get(context, "encoding");
    const char *out = json_string_value(json_object_get(encoding, "stdout"));
    const char *err = json_string_value(json_object_get(encoding, "stderr"));

    p->out.base64 = out && strcmp(out, "base64") == 0;
    p->err.base64 = err && strcmp(err, "base64") == 0;
}

static void write_labelled(struct output_stream *s, const char *prefix, const char *rank,
                           const char *data, size_t size)
{
    if (s->line_is_open && strcmp(s->open_rank, rank) != 0) {
        fputc('\n', s->file);
        s->line_is_open = false;
    }
    while (size > 0) {
        const char *newline = memchr(data, '\n', size);
        size_t n = newline ? (size_t)(newline - data) + 1 : size;

        if (!s->line_is_open)
            fprintf(s->file, "%s%s: ", prefix, rank);
        fwrite(data, 1, n, s->file);
        s->line_is_open = !newline;
        data += n;
        size -= n;
    }
    snprintf(s->open_rank, sizeof(s->open_rank), "%s", rank);
}

static int on_data(struct output_printer *p, const json_t *context)
{
    struct output_stream *s = find_stream(p, json_string_value(json_object_get(context, "stream")));
    const char *rank = json_string_value(json_object_get(context, "rank"));
    const char *encoding = json_string_value(json_object_get(context, "encoding"));
    const json_t *v = json_object_get(context, "data");
    CLEANUP(freep) char *decoded = NULL;
    const char *data = json_string_value(v);
    size_t size = json_string_length(v);

    if (!s || !rank)
        return -EPROTO;
    if (!data || size == 0)
        return 0; /* end of the stream of a task */
    if (encoding ? strcmp(encoding, "base64") == 0 : s->base64) {
        if (!(decoded = base64_decode(data, size, &size)))
            return -EPROTO;
        data = decoded;
    }
    if (p->label)
        write_labelled(s, p->prefix, rank, data, size);
    else
        fwrite(data, 1, size, s->file);
    return 0;
}

static int on_log(struct output_printer *p, const json_t *context)
{
    json_int_t level = json_integer_value(json_object_get(context, "level"));
    const char *message = json_string_value(json_object_get(context, "message"));
    const json_t *rank = json_object_get(context, "rank");

    if (!message || level < 0 || level > 7)
        return -EPROTO;
    fprintf(p->err.file, "flux-shell");
    if (json_is_integer(rank))
        fprintf(p->err.file, "[%" JSON_INTEGER_FORMAT "]", json_integer_value(rank));
    fprintf(p->err.file, ": %s: %s\n", levels[level], message);
    return 0;
}

int output_print(struct output_printer *p, const char *name, const json_t *context)
{
    if (strcmp(name, "header") == 0)
        on_header(p, context);
    else if (strcmp(name, "data") == 0)
        return on_data(p, context);
    else if (strcmp(name, "log") == 0)
        return on_log(p, context);
    return 0;
}
