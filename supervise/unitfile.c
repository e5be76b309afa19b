/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reads unit files. Lines that are not understood are refused with their number, because a typing
 * error in a unit should be seen; keys and sections that mean nothing to us are kept and ignored.
 * Refuses: NUL bytes, files over UNITFILE_MAX, assignments outside a section. */
#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "base/errorx.h"
#include "supervise/unitfile.h"

/* --- lists of strings --- */

size_t strv_count(char *const *v)
{
    size_t n = 0;

    while (v && v[n])
        n++;
    return n;
}

char **strv_free(char **v)
{
    for (size_t i = 0; v && v[i]; i++)
        free(v[i]);
    free(v);
    return NULL;
}

int strv_take(char ***v, char *word)
{
    size_t n = strv_count(*v);
    char **bigger = word ? realloc(*v, (n + 2) * sizeof(*bigger)) : NULL;

    if (!bigger) {
        free(word);
        return -ENOMEM;
    }
    bigger[n] = word;
    bigger[n + 1] = NULL;
    *v = bigger;
    return 0;
}

int strv_append(char ***v, const char *word)
{
    return strv_take(v, strdup(word));
}

/* --- lines --- */

struct reader {
    const char *p;
    const char *end;
    int line;
    char *section;
    struct unitfile *uf;
};

static void trim(const char **start, const char **end)
{
    while (*start < *end && isspace((unsigned char)**start))
        (*start)++;
    while (*end > *start && isspace((unsigned char)(*end)[-1]))
        (*end)--;
}

static bool is_comment(const char *start, const char *end)
{
    trim(&start, &end);
    return start < end && (*start == '#' || *start == ';');
}

/* The next line without its newline; false at the end. */
static bool next_line(struct reader *r, const char **ret_start, const char **ret_end)
{
    const char *nl;

    if (r->p >= r->end)
        return false;
    nl = memchr(r->p, '\n', r->end - r->p);
    *ret_start = r->p;
    *ret_end = nl ? nl : r->end;
    r->p = nl ? nl + 1 : r->end;
    r->line++;
    return true;
}

/* A line with those that continue it, joined by spaces; comments between them are left out. */
static int next_logical_line(struct reader *r, char **ret)
{
    const char *start, *end;
    char *text;
    size_t used = 0;
    bool more = true;

    if (!next_line(r, &start, &end))
        return -ENOENT;
    text = malloc(r->end - start + 1); /* longer than whatever is joined */
    if (!text)
        return -ENOMEM;
    do {
        if (used > 0 && is_comment(start, end))
            continue;
        more = end > start && end[-1] == '\\';
        memcpy(text + used, start, end - start);
        used += end - start;
        if (more)
            text[used - 1] = ' ';
        if (is_comment(text, text + used)) /* comments are not continued */
            more = false;
    } while (more && next_line(r, &start, &end));
    text[used] = '\0';
    *ret = text;
    return 0;
}

static int add_entry(struct reader *r, const char *line, const char *equals)
{
    const char *key = line, *key_end = equals;
    const char *value = equals + 1, *value_end = equals + strlen(equals);
    struct unitfile_entry *bigger, *e;

    trim(&key, &key_end);
    trim(&value, &value_end);
    bigger = realloc(r->uf->entries, (r->uf->count + 1) * sizeof(*bigger));
    if (!bigger)
        return -ENOMEM;
    r->uf->entries = bigger;
    e = &bigger[r->uf->count];
    e->section = strdup(r->section);
    e->key = strndup(key, key_end - key);
    e->value = strndup(value, value_end - value);
    r->uf->count++;
    return e->section && e->key && e->value ? 0 : -ENOMEM;
}

static int parse_line(struct reader *r, const char *line, flux_error_t *error)
{
    const char *start = line, *end = line + strlen(line);
    const char *equals = strchr(line, '=');

    trim(&start, &end);
    if (start == end || *start == '#' || *start == ';')
        return 0;
    if (*start == '[') {
        if (end[-1] != ']' || end - start < 3)
            return errorx_fail(error, EINVAL, "line %d: a section looks like [Name]", r->line);
        free(r->section);
        r->section = strndup(start + 1, end - start - 2);
        return r->section ? 0 : -ENOMEM;
    }
    if (!r->section)
        return errorx_fail(error, EINVAL, "line %d: assignment outside of a section", r->line);
    if (!equals || equals == start)
        return errorx_fail(error, EINVAL, "line %d: expected Key=value", r->line);
    return add_entry(r, line, equals);
}

static int parse_all(struct reader *r, flux_error_t *error)
{
    for (;;) {
        CLEANUP(freep) char *line = NULL;
        int rc = next_logical_line(r, &line);

        if (rc == -ENOENT)
            return 0;
        if (rc < 0 || (rc = parse_line(r, line, error)) < 0)
            return rc;
    }
}

int unitfile_parse(const char *text, size_t size, struct unitfile **ret, flux_error_t *error)
{
    CLEANUP(unitfile_freep) struct unitfile *uf = calloc(1, sizeof(*uf));
    struct reader r = { .p = text, .end = text + size, .uf = uf };
    int rc;

    if (!uf)
        return -ENOMEM;
    if (size > UNITFILE_MAX)
        return errorx_fail(error, EFBIG, "larger than %u bytes", UNITFILE_MAX);
    if (size > 0 && memchr(text, '\0', size))
        return errorx_fail(error, EINVAL, "holds a NUL byte");
    rc = parse_all(&r, error);
    free(r.section);
    if (rc < 0)
        return rc;
    *ret = TAKE(uf);
    return 0;
}

int unitfile_read(const char *path, struct unitfile **ret, flux_error_t *error)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    CLEANUP(freep) char *text = malloc(UNITFILE_MAX + 1);
    size_t size = 0;
    ssize_t n;

    if (fd < 0)
        return errorx_fail(error, errno, "cannot open: %s", strerror(errno));
    if (!text)
        return -ENOMEM;
    while ((n = read(fd, text + size, UNITFILE_MAX + 1 - size)) > 0)
        size += n;
    if (n < 0)
        return errorx_fail(error, errno, "cannot read: %s", strerror(errno));
    return unitfile_parse(text, size, ret, error);
}

struct unitfile *unitfile_free(struct unitfile *uf)
{
    if (!uf)
        return NULL;
    for (size_t i = 0; i < uf->count; i++) {
        free(uf->entries[i].section);
        free(uf->entries[i].key);
        free(uf->entries[i].value);
    }
    free(uf->entries);
    free(uf);
    return NULL;
}

/* --- look-up --- */

static bool is_entry(const struct unitfile_entry *e, const char *section, const char *key)
{
    return strcmp(e->key, key) == 0 && strcmp(e->section, section) == 0;
}

const char *unitfile_get(const struct unitfile *uf, const char *section, const char *key)
{
    for (size_t i = uf->count; i-- > 0;) {
        const struct unitfile_entry *e = &uf->entries[i];

        if (is_entry(e, section, key))
            return *e->value ? e->value : NULL;
    }
    return NULL;
}

size_t unitfile_next(const struct unitfile *uf, const char *section, const char *key, size_t i)
{
    while (++i < uf->count) {
        if (is_entry(&uf->entries[i], section, key))
            return i;
    }
    return uf->count;
}

size_t unitfile_first(const struct unitfile *uf, const char *section, const char *key)
{
    size_t after = (size_t)-1;

    for (size_t i = 0; i < uf->count; i++) {
        if (is_entry(&uf->entries[i], section, key) && uf->entries[i].value[0] == '\0')
            after = i;
    }
    return unitfile_next(uf, section, key, after);
}

/* --- words --- */

static char unescape(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 's':
        return ' ';
    default:
        return c;
    }
}

/* One word from *p; quotes may begin in the middle. */
static int next_word(const char **p, char **ret)
{
    char *word = malloc(strlen(*p) + 1);
    char quote = 0;
    size_t n = 0;

    if (!word)
        return -ENOMEM;
    for (; **p && (quote || !isspace((unsigned char)**p)); (*p)++) {
        char c = **p;

        if (c == '\\' && (*p)[1]) {
            (*p)++;
            word[n++] = unescape(**p);
        } else if (quote ? c == quote : (c == '"' || c == '\'')) {
            quote = quote ? 0 : c;
        } else {
            word[n++] = c;
        }
    }
    word[n] = '\0';
    if (quote) {
        free(word);
        return -EINVAL;
    }
    *ret = word;
    return 0;
}

int unitfile_split(const char *s, char ***ret_words)
{
    CLEANUP(strv_freep) char **words = calloc(1, sizeof(*words));

    if (!words)
        return -ENOMEM;
    for (;;) {
        char *word;
        int rc;

        while (isspace((unsigned char)*s))
            s++;
        if (!*s)
            break;
        rc = next_word(&s, &word);
        if (rc < 0 || (rc = strv_take(&words, word)) < 0)
            return rc;
    }
    *ret_words = TAKE(words);
    return 0;
}

/* --- durations --- */

static const struct {
    const char *name;
    uint64_t usec;
} duration_units[] = {
    { "us", 1 },          { "usec", 1 },          { "ms", 1000 },          { "msec", 1000 },
    { "s", 1000000 },     { "sec", 1000000 },     { "second", 1000000 },   { "seconds", 1000000 },
    { "m", 60000000 },    { "min", 60000000 },    { "minute", 60000000 },  { "minutes", 60000000 },
    { "h", 3600000000 },  { "hr", 3600000000 },   { "hour", 3600000000 },  { "hours", 3600000000 },
    { "d", 86400000000 }, { "day", 86400000000 }, { "days", 86400000000 },
};

static int find_duration_unit(const char *s, size_t len, uint64_t *ret)
{
    if (len == 0) {
        *ret = 1000000;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++) {
        if (strlen(duration_units[i].name) == len && strncmp(duration_units[i].name, s, len) == 0) {
            *ret = duration_units[i].usec;
            return 0;
        }
    }
    return -EINVAL;
}

int unitfile_parse_usec(const char *s, uint64_t *ret_usec)
{
    double total = 0;
    bool any = false;

    if (strcmp(s, "infinity") == 0) {
        *ret_usec = UINT64_MAX;
        return 0;
    }
    for (;;) {
        uint64_t unit;
        double n;
        char *end;
        size_t len;

        s += strspn(s, " \t");
        if (!*s)
            break;
        if (!isdigit((unsigned char)*s) || (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')))
            return -EINVAL;
        n = strtod(s, &end);
        end += strspn(end, " \t");
        len = strspn(end, "abcdefghijklmnopqrstuvwxyz");
        if (find_duration_unit(end, len, &unit) < 0)
            return -EINVAL;
        total += n * unit;
        any = true;
        s = end + len;
    }
    if (!any || !(total < 1e18))
        return -EINVAL;
    *ret_usec = total;
    return 0;
}
