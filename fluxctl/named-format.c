/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Finding the format of a name. A configuration file that is malformed is said and left out: it
 * may not be the user's, and the command works without it. */
#include "named-format.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

/* {"NAME": {"format":..., "description":...}}: all that there are. */
struct collection {
    const struct format_user *user;
    json_t *formats;
};

static int add(struct collection *l, const char *name, const char *format, const char *help)
{
    return json_object_set_new(l->formats, name,
                               json_pack("{s:s s:s}", "format", format, "description", help));
}

static void add_of_file(struct collection *l, const char *path, const json_t *file)
{
    const json_t *part = l->user->part ? json_object_get(file, l->user->part) : file;
    const char *name;
    json_t *o;

    json_object_foreach (json_object_get(part, "formats"), name, o) {
        const char *format, *help = "";

        if (json_unpack(o, "{s:s s?s}", "format", &format, "description", &help) < 0)
            complain("%s: format '%s' lacks the text \"format\"", path, name);
        else
            (void)add(l, name, format, help);
    }
}

static void read_file(struct collection *l, const char *dir, const char *below)
{
    CLEANUP(json_decrefp) json_t *file = NULL;
    CLEANUP(freep) char *path = NULL;
    json_error_t e;

    if (asprintf(&path, "%s%s/flux/flux-%s.json", dir, below, l->user->tool) < 0) {
        path = NULL;
        return;
    }
    if (access(path, R_OK) < 0)
        return;
    if ((file = json_load_file(path, JSON_REJECT_DUPLICATES, &e)))
        add_of_file(l, path, file);
    else
        complain("%s: line %d: %s; its formats are left out", path, e.line, e.text);
}

/* The last of the directories first: the first is the most important one. */
static void read_dirs(struct collection *l, const char *dirs)
{
    const char *rest = strchr(dirs, ':');
    CLEANUP(freep) char *first = strndup(dirs, strcspn(dirs, ":"));

    if (rest)
        read_dirs(l, rest + 1);
    if (first && first[0] == '/')
        read_file(l, first, "");
}

static const char *env(const char *name, const char *fallback)
{
    const char *s = getenv(name);

    return s && s[0] ? s : fallback;
}

static void read_all(struct collection *l)
{
    const char *home = getenv("HOME");
    const char *config = env("XDG_CONFIG_HOME", NULL);

    for (const struct named_format *f = l->user->formats; f->name; f++)
        (void)add(l, f->name, f->format, f->help);
    read_dirs(l, env("XDG_CONFIG_DIRS", "/etc/xdg"));
    if (config)
        read_file(l, config, "");
    else if (home)
        read_file(l, home, "/.config");
}

static const char *text_of(const struct collection *l, const char *name, const char *key)
{
    return json_string_value(json_object_get(json_object_get(l->formats, name), key));
}

static int print_names(const struct collection *l)
{
    const char *name;
    json_t *o;

    json_object_foreach (l->formats, name, o)
        printf("%-10s %s\n", name, text_of(l, name, "description"));
    return 1;
}

/* What a file would have for this format, to begin with. */
static int print_config(const struct collection *l, const char *name)
{
    CLEANUP(json_decrefp) json_t *o = NULL;

    if (!json_object_get(l->formats, name)) {
        complain("--format: there is no format '%s'; --format=help lists them", name);
        return -1;
    }
    o = json_pack("{s:{s:O}}", "formats", name, json_object_get(l->formats, name));
    if (o && l->user->part)
        o = json_pack("{s:o}", l->user->part, o);
    (void)json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    return 1;
}

static const char *default_name(const struct format_user *user)
{
    char name[64];

    snprintf(name, sizeof(name), "FLUX_%s%s%s_FORMAT_DEFAULT", user->tool, user->part ? "_" : "",
             user->part ? user->part : "");
    for (char *s = name; *s; s++)
        *s = (char)toupper((unsigned char)*s);
    return env(name, "default");
}

static int parse(const struct format_user *user, const char *text, struct format **ret)
{
    flux_error_t error = { "out of memory" };

    if (format_parse(text, ret, &error) < 0) {
        complain("--format: %s", error.text);
        return -1;
    }
    for (size_t i = 0; i < format_nfields(*ret); i++) {
        if (!user->heading(format_field(*ret, i))) {
            complain("--format: %s have no field '%s'; see `flux help %s`", user->things,
                     format_field(*ret, i), user->tool);
            return -1;
        }
    }
    return 0;
}

static int get(const struct collection *l, const char *wanted, struct format **ret)
{
    if (strcmp(wanted, "help") == 0)
        return print_names(l);
    if (strncmp(wanted, "get-config=", 11) == 0)
        return print_config(l, wanted + 11);
    if (!strchr(wanted, '{') && !text_of(l, wanted, "format")) {
        complain("--format: there is no format '%s'; --format=help lists them", wanted);
        return -1;
    }
    return parse(l->user, strchr(wanted, '{') ? wanted : text_of(l, wanted, "format"), ret);
}

int named_format_get(const struct cmdline *c, const struct format_user *user, struct format **ret)
{
    CLEANUP(json_decrefp) json_t *formats = json_object();
    struct collection l = { .user = user, .formats = formats };

    if (!formats) {
        complain("out of memory");
        return -1;
    }
    read_all(&l);
    return get(&l, cmdline_string(c, "format", default_name(user)), ret);
}
