/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Mustache-like tags in file names. A job name that contains a slash could lead elsewhere than the
 * user's template says: slashes in values become underscores. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fluid.h"
#include "template.h"

#define VALUE_MAX 256

static const struct {
    const char *suffix;
    enum fluid_style style;
} styles[] = {
    { "", FLUID_F58 },
    { ".f58", FLUID_F58 },
    { ".f58plain", FLUID_F58_PLAIN },
    { ".dec", FLUID_DEC },
    { ".hex", FLUID_HEX },
    { ".dothex", FLUID_DOTHEX },
    { ".words", FLUID_MNEMONIC },
};

static int put_int(char *buf, int value)
{
    (void)snprintf(buf, VALUE_MAX, "%d", value);
    return 1;
}

static int put_string(char *buf, const char *value)
{
    (void)snprintf(buf, VALUE_MAX, "%s", value ? value : "");
    for (char *p = buf; *p; p++)
        if (*p == '/')
            *p = '_';
    return 1;
}

static int put_id(char *buf, flux_jobid_t id, const char *suffix)
{
    for (size_t i = 0; i < ARRAY_SIZE(styles); i++)
        if (strcmp(suffix, styles[i].suffix) == 0)
            return fluid_encode(buf, VALUE_MAX, id, styles[i].style) == 0;
    return 0;
}

static bool is_task_rank(const char *tag)
{
    return strcmp(tag, "taskid") == 0 || strcmp(tag, "task.id") == 0 ||
           strcmp(tag, "task.rank") == 0;
}

/* A path: slashes stay. */
static int put_path(char *buf, const char *path)
{
    return path && snprintf(buf, VALUE_MAX, "%s", path) < VALUE_MAX;
}

/* 1: known, its value is in buf. */
static int tag_value(const char *tag, const struct template_values *v, char *buf)
{
    if (strncmp(tag, "jobid", 5) == 0)
        return put_id(buf, v->id, tag + 5);
    if (strncmp(tag, "id", 2) == 0)
        return put_id(buf, v->id, tag + 2);
    if (strcmp(tag, "name") == 0)
        return put_string(buf, v->name);
    if (strcmp(tag, "size") == 0)
        return put_int(buf, v->ntasks);
    if (strcmp(tag, "nnodes") == 0)
        return put_int(buf, v->nnodes);
    if (strcmp(tag, "node.id") == 0)
        return put_int(buf, v->node_id);
    if (strcmp(tag, "node.name") == 0)
        return put_string(buf, v->node_name);
    if (strcmp(tag, "tmpdir") == 0)
        return put_path(buf, v->tmpdir);
    if (is_task_rank(tag) && v->task_rank >= 0)
        return put_int(buf, v->task_rank);
    if (strcmp(tag, "task.index") == 0 && v->task_index >= 0)
        return put_int(buf, v->task_index);
    return 0;
}

/* The tag at p, which begins with "{{": its name in buf, its length with braces as result; 0: none.
 */
static size_t read_tag(const char *p, char buf[32])
{
    const char *end = strstr(p, "}}");
    size_t len = end ? (size_t)(end - p) - 2 : 0;

    if (strncmp(p, "{{", 2) != 0 || !end || len == 0 || len >= 32)
        return 0;
    memcpy(buf, p + 2, len);
    buf[len] = '\0';
    return len + 4;
}

char *template_expand(const char *text, const struct template_values *v)
{
    char *out = NULL, tag[32], value[VALUE_MAX];
    size_t size;
    FILE *f = open_memstream(&out, &size);

    for (const char *p = text; f && *p;) {
        const size_t taglen = read_tag(p, tag);
        const bool known = taglen > 0 && tag_value(tag, v, value);

        if (known)
            (void)fputs(value, f);
        else
            (void)fputc(*p, f);
        p += known ? taglen : 1;
    }
    if (!f || fclose(f) != 0) {
        free(out);
        errno = ENOMEM;
        return NULL;
    }
    return out;
}

static bool is_task_tag(const char *tag)
{
    return is_task_rank(tag) || strcmp(tag, "task.index") == 0;
}

static bool is_node_tag(const char *tag)
{
    return is_task_tag(tag) || strcmp(tag, "node.id") == 0 || strcmp(tag, "node.name") == 0 ||
           strcmp(tag, "tmpdir") == 0;
}

static bool has_tag(const char *text, bool (*test)(const char *tag))
{
    char tag[32];

    for (const char *p = text; *p; p++)
        if (read_tag(p, tag) > 0 && test(tag))
            return true;
    return false;
}

bool template_is_per_task(const char *text)
{
    return has_tag(text, is_task_tag);
}

bool template_is_per_node(const char *text)
{
    return has_tag(text, is_node_tag);
}
