/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl help, version. */
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "config.h"
#include "families.h"

/* Ours after the user's; after those of the system if there are none: what an empty word means to
 * man(1). */
static int add_manpath(void)
{
    const char *path = getenv("MANPATH");
    CLEANUP(freep) char *text = NULL;

    if (path && strstr(path, FLUX_MANDIR))
        return 0;
    if (asprintf(&text, "%s:%s", path ? path : "", FLUX_MANDIR) < 0)
        return -1;
    return setenv("MANPATH", text, 1);
}

/* The page is that of the command's first word. man(1) finds it; tools/flux shows it the source
 * tree's pages. */
static int run_help(const struct cmdline *c)
{
    char page[64];

    if (c->argc == 0) {
        commands_print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (strchr(c->argv[0], '/'))
        return complain("'%s' is not a command", c->argv[0]);
    if (strncmp(c->argv[0], "flux", 4) == 0)
        snprintf(page, sizeof(page), "%s", c->argv[0]);
    else
        snprintf(page, sizeof(page), "flux-%s", c->argv[0]);
    if (add_manpath() < 0)
        return complain("out of memory");
    (void)execlp("man", "man", page, (char *)NULL);
    return complain("cannot run man(1): %s", strerror(errno));
}

/* Must not complain when there is no instance: it is one of the answers. */
static int run_version(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    const char *uri = getenv("FLUX_URI");
    const char *version;

    printf("commands:     %s\n", FLUX_VERSION);
    printf("libflux-core: %s\n", FLUX_CORE_VERSION_STRING);
    if (!(h = flux_open(NULL, 0)))
        return EXIT_SUCCESS;
    if ((version = flux_attr_get(h, "version")))
        printf("broker:       %s\n", version);
    printf("FLUX_URI:     %s\n", uri ? uri : "local:///run/flux/local");
    return EXIT_SUCCESS;
}

const struct command cmd_help[] = {
    { "help", "[COMMAND...]", "Show the manual page of a command", NULL, 0, -1, 0, run_help },
    { "version", NULL, "Show versions", NULL, 0, 0, 0, run_version },
    { 0 },
};
