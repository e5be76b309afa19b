/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which commands there are, under which names. */
#include "commands.h"

#include <string.h>

#include "base/cleanup.h"
#include "families.h"

static const struct family {
    const char *title;
    const struct command *commands;
} families[] = {
    { "Instances", cmd_start },
    { "Instances", cmd_shutdown },
    { "Instances", cmd_uptime },
    { "Instances", cmd_instance },
    { "Instances", cmd_keygen },
    { "Jobs", cmd_run },
    { "Jobs", cmd_submit },
    { "Jobs", cmd_bulksubmit },
    { "Jobs", cmd_batch },
    { "Jobs", cmd_alloc },
    { "Jobs", cmd_jobs },
    { "Jobs", cmd_cancel },
    { "Jobs", cmd_job },
    { "Jobs", cmd_job_purge },
    { "Jobs", cmd_job_eventlog },
    { "Jobs", cmd_job_status },
    { "Jobs", cmd_job_list },
    { "Jobs", cmd_job_memo },
    { "Jobs", cmd_job_taskmap },
    { "Jobs", cmd_uri },
    { "Jobs", cmd_proxy },
    { "Jobs", cmd_watch },
    { "Jobs", cmd_queue },
    { "Resources", cmd_resource },
    { "Resources", cmd_hwloc },
    { "Resources", cmd_exec },
    { "Services", cmd_attr },
    { "Services", cmd_module },
    { "Services", cmd_ping },
    { "Services", cmd_overlay },
    { "Data", cmd_content },
    { "Data", cmd_content_gc },
    { "Data", cmd_kvs_get },
    { "Data", cmd_kvs },
    { "Data", cmd_kvs_namespace },
    { "Data", cmd_kvs_list },
    { "Data", cmd_kvs_eventlog },
    { "Data", cmd_dump },
    { "Data", cmd_restore },
    { "Events and logs", cmd_event },
    { "Events and logs", cmd_log },
    { "Help", cmd_help },
};

/* How many words of argv the name takes up, or 0 if they differ. */
static int match(const char *name, int argc, char **argv)
{
    int words = 0;

    while (*name) {
        size_t len = strcspn(name, " ");

        if (words >= argc || strlen(argv[words]) != len || strncmp(argv[words], name, len) != 0)
            return 0;
        words++;
        name += len;
        name += strspn(name, " ");
    }
    return words;
}

const struct command *command_find(int argc, char **argv, int *ret_words)
{
    const struct command *found = NULL;
    int longest = 0;

    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        for (const struct command *c = families[i].commands; c->name; c++) {
            int words = match(c->name, argc, argv);

            if (words > longest) {
                longest = words;
                found = c;
            }
        }
    }
    *ret_words = longest;
    return found;
}

void commands_print_help(FILE *f)
{
    const char *title = "";

    fputs(
        "Usage: flux [OPTIONS] COMMAND [ARGS...]\n\n"
        "Options:\n"
        "  -h, --help                  Show this help\n"
        "  -V, --version               Show versions\n"
        "  -p, --parent                Speak to the parent of this instance\n"
        "  -r, --root                  Speak to the outermost instance\n"
        "  -v, --verbose               Show the environment of the command, and how it is found\n",
        f);
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        if (strcmp(title, families[i].title) != 0)
            fprintf(f, "\n%s:\n", families[i].title);
        title = families[i].title;
        for (const struct command *c = families[i].commands; c->name; c++) {
            if (!(c->flags & COMMAND_HIDDEN))
                fprintf(f, "  %-27s %s\n", c->name, c->summary);
        }
    }
    fputs("\n`flux COMMAND --help` shows the options of a command, `flux help COMMAND` its "
          "manual page.\n",
          f);
}

static bool begins(const char *name, int words, char **argv);

void commands_print_group(int words, char **argv, FILE *f)
{
    fputs("Usage: flux", f);
    for (int i = 0; i < words; i++)
        fprintf(f, " %s", argv[i]);
    fputs(" COMMAND [ARGS...]\n\nCommands:\n", f);
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        for (const struct command *c = families[i].commands; c->name; c++) {
            if (begins(c->name, words, argv))
                fprintf(f, "  %-27s %s\n", c->name, c->summary);
        }
    }
}

/* The word of the name that comes after `words` words, if it begins with prefix. */
static void complete_name(const char *name, int words, const char *prefix, FILE *f)
{
    static char last[64]; /* names that share a word stand together: print it once */
    size_t len;

    while (words-- > 0) {
        name += strcspn(name, " ");
        name += strspn(name, " ");
    }
    len = strcspn(name, " ");
    if (len == 0 || len >= sizeof(last) || strncmp(name, prefix, strlen(prefix)) != 0 ||
        (strncmp(last, name, len) == 0 && !last[len]))
        return;
    memcpy(last, name, len);
    last[len] = '\0';
    fprintf(f, "%s\n", last);
}

/* Do the first `words` words of argv begin the name? */
static bool begins(const char *name, int words, char **argv)
{
    for (int i = 0; i < words; i++) {
        size_t len = strcspn(name, " ");

        if (strlen(argv[i]) != len || strncmp(argv[i], name, len) != 0)
            return false;
        name += len;
        name += strspn(name, " ");
    }
    return true;
}

int commands_depth(int argc, char **argv)
{
    int depth = 0;

    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        for (const struct command *c = families[i].commands; c->name; c++) {
            while (depth < argc && begins(c->name, depth + 1, argv))
                depth++;
        }
    }
    return depth;
}

/* --- what was meant --- */

#define WORD_MAX 32

/* Letters to insert, remove, replace or swap with their neighbour. */
static int distance(const char *a, size_t alen, const char *b, size_t blen)
{
    int rows[3][WORD_MAX + 1];

    if (alen > WORD_MAX || blen > WORD_MAX)
        return WORD_MAX;
    for (size_t i = 0; i <= alen; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

        row[0] = (int)i;
        for (size_t k = 1; k <= blen; k++) {
            int best;

            if (i == 0) {
                row[k] = (int)k;
                continue;
            }
            best = above[k - 1] + (a[i - 1] != b[k - 1]);
            best = above[k] + 1 < best ? above[k] + 1 : best;
            best = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                before[k - 2] + 1 < best)
                best = before[k - 2] + 1;
            row[k] = best;
        }
    }
    return rows[alen % 3][blen];
}

static const char *nth_word(const char *name, int n, size_t *ret_len)
{
    while (n-- > 0) {
        name += strcspn(name, " ");
        name += strspn(name, " ");
    }
    *ret_len = strcspn(name, " ");
    return name;
}

const char *command_suggest(int words, char **argv)
{
    static char found[WORD_MAX + 1];
    const char *word = argv[words - 1];
    size_t wlen = strlen(word);
    int nearest = wlen > 4 ? 3 : 2; /* must be less */

    found[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        for (const struct command *c = families[i].commands; c->name; c++) {
            size_t len;
            const char *name = nth_word(c->name, words - 1, &len);
            int d = len && begins(c->name, words - 1, argv) ? distance(word, wlen, name, len) : 9;

            if (d < nearest && d < (int)len) {
                nearest = d;
                snprintf(found, sizeof(found), "%.*s", (int)len, name);
            }
        }
    }
    return found[0] ? found : NULL;
}

void commands_complete(int argc, char **argv, FILE *f)
{
    const char *word = argc > 0 ? argv[argc - 1] : "";
    int before = argc > 0 ? argc - 1 : 0;
    const struct command *found;
    int words;

    if (before > 0 && strcmp(argv[0], "help") == 0 && word[0] != '-') { /* `flux help job att` */
        argv++;
        before--;
    }
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        for (const struct command *c = families[i].commands; c->name; c++) {
            const bool named = before > 0 || !(c->flags & COMMAND_HIDDEN); /* mini: once typed */

            if (named && begins(c->name, before, argv))
                complete_name(c->name, before, word, f);
        }
    }
    if ((found = command_find(before, argv, &words)))
        command_complete(found, word, f);
}
