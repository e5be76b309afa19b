/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The plugin table. Freeing goes backwards. */
#include <string.h>

#include "plugins.h"

/* Those of the shell proper: shell.c, info.c. */
#define SHELL_OPTIONS "per-resource.type per-resource.count taskmap verbose"

static const struct shell_plugin *const plugins[] = {
    &plugin_tmpdir,  &plugin_archive, &plugin_environment, &plugin_affinity, &plugin_gpu,
    &plugin_pty,     &plugin_output,  &plugin_launch,      &plugin_input,    &plugin_pmi,
    &plugin_service, &plugin_exits,   &plugin_warning,     &plugin_unknown,
};

/* group: an option that begins with path and a dot counts as well. */
static bool is_among(const char *options, const char *path, bool group)
{
    const size_t len = strlen(path);

    while (options && *options) {
        const size_t n = strcspn(options, " ");

        if (strncmp(options, path, len) == 0 && (len == n || (group && options[len] == '.')))
            return true;
        if (n > 1 && options[n - 1] == '*' && strncmp(path, options, n - 1) == 0)
            return true;
        options += n;
        options += strspn(options, " ");
    }
    return false;
}

bool plugins_know_option(const char *path, bool group)
{
    for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
        if (is_among(plugins[i]->options, path, group))
            return true;
    return is_among(SHELL_OPTIONS, path, group);
}

int plugins_shell_init(struct shell *shell, flux_error_t *error)
{
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(plugins) && rc == 0; i++)
        if (plugins[i]->shell_init)
            rc = plugins[i]->shell_init(shell, error);
    return rc;
}

int plugins_task_init(struct task *task, flux_error_t *error)
{
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(plugins) && rc == 0; i++)
        if (plugins[i]->task_init)
            rc = plugins[i]->task_init(task, error);
    return rc;
}

void plugins_task_fork(struct task *task)
{
    for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
        if (plugins[i]->task_fork)
            plugins[i]->task_fork(task);
}

void plugins_task_exit(struct task *task)
{
    for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
        if (plugins[i]->task_exit)
            plugins[i]->task_exit(task);
}

void plugins_shell_start(struct shell *shell)
{
    for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
        if (plugins[i]->shell_start)
            plugins[i]->shell_start(shell);
}

void plugins_shell_finish(struct shell *shell)
{
    for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
        if (plugins[i]->shell_finish)
            plugins[i]->shell_finish(shell);
}

void plugins_shell_leave(struct shell *shell)
{
    for (size_t i = ARRAY_SIZE(plugins); i > 0; i--)
        if (plugins[i - 1]->shell_leave)
            plugins[i - 1]->shell_leave(shell);
}

void plugins_shell_exit(struct shell *shell)
{
    for (size_t i = ARRAY_SIZE(plugins); i > 0; i--)
        if (plugins[i - 1]->shell_exit)
            plugins[i - 1]->shell_exit(shell);
}
