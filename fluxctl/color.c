/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* auto: on a terminal, unless NO_COLOR is set. */
#include "color.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

int color_parse(const struct cmdline *c, bool *ret)
{
    const char *when = cmdline_string(c, "color", cmdline_has(c, "color") ? "always" : "auto");

    if (cmdline_has(c, "no-color"))
        when = "never";
    if (strcmp(when, "always") == 0)
        *ret = true;
    else if (strcmp(when, "never") == 0)
        *ret = false;
    else if (strcmp(when, "auto") == 0)
        *ret = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    else
        return complain("--color must be never, always or auto, not '%s'", when), -1;
    return 0;
}
