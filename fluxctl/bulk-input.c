/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Input lists of bulksubmit. A linked list is cycled through if it is shorter than the list it is
 * linked to. Refuses a linked first list, empty lists of words, and more than COUNT_MAX
 * combinations. */
#include "bulk-input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"

#define COUNT_MAX 10000000

static const struct delimiter {
    const char *token;
    bool file, linked;
} delimiters[] = {
    { ":::", false, false },
    { ":::+", false, true },
    { "::::", true, false },
    { "::::+", true, true },
};

static const struct delimiter *find_delimiter(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(delimiters); i++) {
        if (strcmp(delimiters[i].token, word) == 0)
            return &delimiters[i];
    }
    return NULL;
}

int bulk_command_length(char **argv)
{
    int n = 0;

    while (argv[n] && !find_delimiter(argv[n]))
        n++;
    return n;
}

static struct bulk_list *add_list(struct bulk_inputs *b, bool linked)
{
    struct bulk_list *lists = realloc(b->lists, (b->nlists + 1) * sizeof(*lists));

    if (!lists)
        return NULL;
    b->lists = lists;
    lists[b->nlists] = (struct bulk_list){ .linked = linked };
    return &lists[b->nlists++];
}

static int add_word(struct bulk_list *l, const char *s, size_t len)
{
    char **words = l->words;

    if ((l->count & (l->count - 1)) == 0 &&
        !(words = realloc(words, (l->count ? 2 * l->count : 1) * sizeof(*words))))
        return -ENOMEM;
    l->words = words;
    if (!(words[l->count] = strndup(s, len)))
        return -ENOMEM;
    l->count++;
    return 0;
}

static int split(struct bulk_list *l, const char *s, const char *sep)
{
    bool whitespace = strcmp(sep, "none") == 0;
    int rc = 0;

    while (rc == 0 && *s) {
        const char *end = whitespace ? s + strcspn(s, " \t\r\n") : strstr(s, sep);
        size_t len = end ? (size_t)(end - s) : strlen(s);
        bool last = !s[len];

        if (last && !whitespace && len > 0 && s[len - 1] == '\n')
            len--; /* a file ends with a newline, whatever separates its words */
        if (len > 0 || (!whitespace && !last))
            rc = add_word(l, s, len);
        s = last ? "" : s + len + (whitespace ? 1 : strlen(sep));
    }
    return rc;
}

static int read_list(struct bulk_inputs *b, const char *path, bool linked, const char *sep,
                     flux_error_t *error)
{
    bool from_stdin = strcmp(path, "-") == 0;
    FILE *f = from_stdin ? stdin : fopen(path, "re");
    CLEANUP(freep) char *text = NULL;
    struct bulk_list *l;
    size_t size = 0;
    ssize_t n;

    if (!f)
        return errorx_fail(error, errno, "%s: %s", path, strerror(errno));
    n = getdelim(&text, &size, '\0', f);
    if (!from_stdin)
        (void)fclose(f);
    if (!(l = add_list(b, linked)))
        return -ENOMEM;
    return n > 0 ? split(l, text, sep ? sep : "\n") : 0;
}

/* The words after one delimiter. Returns how many there were, or -errno. */
static int take_source(struct bulk_inputs *b, const struct delimiter *d, char **argv,
                       const char *sep, flux_error_t *error)
{
    int n = bulk_command_length(argv), rc = 0;
    struct bulk_list *l = NULL;

    if (n == 0)
        return errorx_fail(error, EINVAL, "nothing comes after '%s'", d->token);
    if (d->linked && b->nlists == 0)
        return errorx_fail(error, EINVAL, "'%s' has no list before it to be linked to", d->token);
    if (!d->file && !(l = add_list(b, d->linked)))
        return -ENOMEM;
    for (int i = 0; rc == 0 && i < n; i++)
        rc = d->file ? read_list(b, argv[i], d->linked, sep, error)
                     : add_word(l, argv[i], strlen(argv[i]));
    return rc < 0 ? rc : n;
}

static int count_combinations(struct bulk_inputs *b, flux_error_t *error)
{
    b->count = 1;
    for (size_t i = 0; i < b->nlists; i++) {
        if (b->lists[i].count == 0)
            b->count = 0;
        else if (!b->lists[i].linked)
            b->count *= b->lists[i].count;
        if (b->count > COUNT_MAX)
            return errorx_fail(error, E2BIG, "the inputs have more than %d combinations",
                               COUNT_MAX);
    }
    return 0;
}

int bulk_inputs_init(struct bulk_inputs *b, char **argv, const char *sep, flux_error_t *error)
{
    int rc = 0;

    *b = (struct bulk_inputs){ 0 };
    if (sep && !sep[0])
        return errorx_fail(error, EINVAL, "the separator is empty");
    argv += bulk_command_length(argv);
    if (!*argv)
        rc = read_list(b, "-", false, sep, error);
    while (rc >= 0 && *argv) {
        const struct delimiter *d = find_delimiter(*argv);

        if ((rc = take_source(b, d, argv + 1, sep, error)) >= 0)
            argv += 1 + rc;
    }
    if (rc >= 0)
        rc = count_combinations(b, error);
    if (rc < 0)
        bulk_inputs_deinit(b);
    return rc < 0 ? rc : 0;
}

void bulk_inputs_deinit(struct bulk_inputs *b)
{
    for (size_t i = 0; i < b->nlists; i++) {
        for (size_t k = 0; k < b->lists[i].count; k++)
            free(b->lists[i].words[k]);
        free(b->lists[i].words);
    }
    free(b->lists);
    *b = (struct bulk_inputs){ 0 };
}

void bulk_inputs_get(const struct bulk_inputs *b, size_t i, const char **ret_words)
{
    size_t first = b->nlists; /* of the lists not yet done */

    while (first > 0) {
        size_t end = first, at;

        do
            first--;
        while (b->lists[first].linked);
        at = i % b->lists[first].count;
        i /= b->lists[first].count;
        for (size_t k = first; k < end; k++)
            ret_words[k] = b->lists[k].words[at % b->lists[k].count];
    }
}
