/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A line that parses, written out again, parses to the same fields; a server that is sent the lines
 * of a stream answers with lines that parse, or has been told something that is no PMI. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pmi/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_answer(uint32_t rank, const char *line, void *arg)
{
    struct pmi_msg m;

    if (line[strlen(line) - 1] != '\n' || pmi_msg_parse(line, strlen(line) - 1, &m) < 0)
        abort();
    return 0;
}

static void print(const struct pmi_msg *m, char *buf)
{
    const char *value = pmi_msg_get(m, "value");

    *buf = '\0';
    for (size_t i = 0; i < m->count; i++) {
        if (m->fields[i].value != value)
            buf += sprintf(buf, "%s=%s ", m->fields[i].key, m->fields[i].value);
    }
    if (value)
        sprintf(buf, "value=%s", value);
}

static void parse_again(const struct pmi_msg *m)
{
    char line[PMI_LINE_MAX + 1];
    struct pmi_msg again;

    print(m, line);
    if (strlen(line) >= PMI_LINE_MAX)
        return;
    if (pmi_msg_parse(line, strlen(line), &again) < 0 || again.count != m->count)
        abort();
    for (size_t i = 0; i < m->count; i++) {
        const char *value = pmi_msg_get(&again, m->fields[i].key);

        if (!value || strcmp(value, m->fields[i].value) != 0)
            abort();
    }
}

static void on_line(struct pmi_server *s, const char *line, size_t len)
{
    struct pmi_msg m;
    flux_error_t error;

    if (pmi_msg_parse(line, len, &m) == 0)
        parse_again(&m);
    (void)pmi_server_request(s, 0, line, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pmi_server_options o = {
        .size = 1, .kvsname = "fuzz", .mapping = "(vector,(0,1,1))", .ops = { .send = check_answer }
    };
    CLEANUP(pmi_server_freep) struct pmi_server *s = NULL;
    struct pmi_reader r = { 0 };
    char line[PMI_LINE_MAX];
    size_t len;

    if (pmi_server_new(&o, &s) < 0)
        abort();
    while (size > 0) {
        size_t n = sizeof(r.buf) - r.len;

        n = n < size ? n : size;
        memcpy(r.buf + r.len, data, n);
        r.len += n;
        data += n;
        size -= n;
        while (pmi_reader_line(&r, line, &len) > 0)
            on_line(s, line, len);
        if (r.len == sizeof(r.buf))
            break;
    }
    return 0;
}
