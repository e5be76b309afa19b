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
    { "Instances", cmd_instance },
    { "Jobs", cmd_run },
    { "Jobs", cmd_submit },
    { "Jobs", cmd_bulksubmit },
    { "Jobs", cmd_jobs },
    { "Jobs", cmd_job },
    { "Jobs", cmd_queue },
    { "Resources", cmd_resource },
    { "Resources", cmd_hwloc },
    { "Resources", cmd_exec },
    { "Services", cmd_attr },
    { "Services", cmd_module },
    { "Services", cmd_ping },
    { "Data", cmd_content },
    { "Data", cmd_kvs },
    { "Data", cmd_kvs_namespace },
    { "Data", cmd_kvs_list },
    { "Data", cmd_kvs_eventlog },
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

    fputs("Usage: fluxctl [OPTIONS] COMMAND [ARGS...]\n\n"
          "Options:\n"
          "  -h, --help                  Show this help\n"
          "  -V, --version               Show versions\n"
          "  -p, --parent                Speak to the parent of this instance\n",
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
    fputs("\n`fluxctl COMMAND --help` shows the options of a command, `fluxctl help COMMAND` its "
          "manual page.\n",
          f);
}

static bool begins(const char *name, int words, char **argv);

bool commands_print_group(char **argv, FILE *f)
{
    bool found = false;

    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        for (const struct command *c = families[i].commands; c->name; c++) {
            if ((c->flags & COMMAND_HIDDEN) || !begins(c->name, 1, argv))
                continue;
            if (!found)
                fprintf(f, "Usage: fluxctl %s COMMAND [ARGS...]\n\nCommands:\n", argv[0]);
            found = true;
            fprintf(f, "  %-27s %s\n", c->name, c->summary);
        }
    }
    return found;
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

void commands_complete(int argc, char **argv, FILE *f)
{
    const char *word = argc > 0 ? argv[argc - 1] : "";
    int before = argc > 0 ? argc - 1 : 0;
    const struct command *found;
    int words;

    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        for (const struct command *c = families[i].commands; c->name; c++) {
            if (!(c->flags & COMMAND_HIDDEN) && begins(c->name, before, argv))
                complete_name(c->name, before, word, f);
        }
    }
    if ((found = command_find(before, argv, &words)))
        command_complete(found, word, f);
}
