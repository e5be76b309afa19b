/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* --format=NAME: formats of ours, and those of configuration files flux/flux-TOOL.json below
 * $XDG_CONFIG_DIRS (default /etc/xdg) and $XDG_CONFIG_HOME (default ~/.config), which may give our
 * names another meaning. FLUX_TOOL_FORMAT_DEFAULT is what is used without --format. */
#ifndef FLUXCTL_NAMED_FORMAT_H
#define FLUXCTL_NAMED_FORMAT_H

#include "format.h"
#include "options.h"

struct named_format {
    const char *name, *format, *help;
};

struct format_user {
    const char *tool;                     /* "jobs" */
    const char *part;                     /* of its file, "list"; NULL: all of it */
    const struct named_format *formats;   /* ends with {0}; one is called default */
    const char *(*heading)(const char *); /* of a field; NULL: there is none of that name */
    const char *things;                   /* that have fields: "jobs" */
};

/* The format that --format asks for. 0; 1: asked for help, which was printed; -1: complained. */
int named_format_get(const struct cmdline *c, const struct format_user *user, struct format **ret);

#endif
