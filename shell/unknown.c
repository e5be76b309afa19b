/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A warning in the job's output for each shell option that nobody here reads: it is a slip of the
 * finger, or of another version of Flux, and the job runs without what it asked for. What is known
 * is said by the plugins themselves (shell_plugin.options). */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "peers.h"
#include "plugins.h"

#define WARNINGS_MAX 8

struct finder {
    struct shell *shell;
    size_t found;
};

static void warn(struct finder *f, const char *path)
{
    if (f->found++ < WARNINGS_MAX)
        shell_log(f->shell, LOG_WARNING, "there is no shell option '%.128s'; it does nothing",
                  path);
}

/* Descends only where known options are: not deeper than they are. */
static void check(struct finder *f, const char *prefix, json_t *options)
{
    const char *key;
    json_t *value;

    json_object_foreach (options, key, value) {
        CLEANUP(freep) char *path = NULL;

        if (asprintf(&path, "%s%s%s", prefix, prefix[0] ? "." : "", key) < 0)
            return;
        if (!plugins_know_option(path, json_is_object(value)))
            warn(f, path);
        else if (json_is_object(value))
            check(f, path, value);
    }
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    struct finder f = { .shell = shell };

    if (!peers_is_leader(shell))
        return 0;
    check(&f, "", shell->info.jobspec.shell_options);
    if (f.found > WARNINGS_MAX)
        shell_log(shell, LOG_WARNING, "there are no shell options of %zu other names either",
                  f.found - WARNINGS_MAX);
    return 0;
}

const struct shell_plugin plugin_unknown = {
    .name = "unknown",
    .shell_init = on_shell_init,
};
