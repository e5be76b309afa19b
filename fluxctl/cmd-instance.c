/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl config, env: what the instance was told, and how to reach it. */
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "environment.h"
#include "families.h"

/* --- config --- */

static int run_config_get(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "config.get", NULL, "get the configuration") : NULL;
    const json_t *o = answer;
    const char *path = c->argc > 0 ? c->argv[0] : "";

    if (!answer)
        return EXIT_FAILURE;
    for (const char *p = path; *p;) {
        size_t len = strcspn(p, ".");
        char key[64];

        snprintf(key, sizeof(key), "%.*s", (int)len, p);
        if (!(o = json_object_get(o, key))) {
            if (cmdline_has(c, "default")) {
                puts(cmdline_string(c, "default", ""));
                return EXIT_SUCCESS;
            }
            return complain("'%s' is not configured", path);
        }
        p += len + (p[len] == '.');
    }
    if (json_is_string(o))
        puts(json_string_value(o));
    else {
        (void)json_dumpf(o, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
        putchar('\n');
    }
    return EXIT_SUCCESS;
}

static int run_config_reload(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *answer = h ? client_call(h, "config.reload", NULL, "reload the configuration") : NULL;

    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- env --- */

static int run_env(const struct cmdline *c)
{
    int rc = environment_set();

    if (rc < 0)
        return complain("%s", strerror(-rc));
    if (!getenv("FLUX_URI") && setenv("FLUX_URI", "local:///run/flux/local", 1) < 0)
        return complain("%s", strerror(errno));
    if (c->argc == 0) {
        for (char **e = environ; *e; e++)
            puts(*e);
        return EXIT_SUCCESS;
    }
    (void)execvp(c->argv[0], c->argv);
    (void)complain("cannot run '%s': %s", c->argv[0], strerror(errno));
    return 127;
}

static const struct option config_get_options[] = {
    { 'd', "default", "VALUE", "Print this if the key is not configured" },
    { 0 },
};

const struct command cmd_instance[] = {
    { "config get", "[KEY]", "Print the configuration", config_get_options, 0, 1, 0,
      run_config_get },
    { "config reload", NULL, "Read the configuration again", NULL, 0, 0, 0, run_config_reload },
    { "env", "[COMMAND...]", "Print the environment, or run a command in it", NULL, 0, -1,
      COMMAND_STOP_AT_ARGUMENT, run_env },
    { 0 },
};
