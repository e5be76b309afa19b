/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Colors of a terminal, and the option that asks for them. */
#ifndef FLUXCTL_COLOR_H
#define FLUXCTL_COLOR_H

#include "options.h"

#define COLOR_RED    "\033[31m"
#define COLOR_GREEN  "\033[32m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_BLUE   "\033[34m"
#define COLOR_BOLD   "\033[1m"
#define COLOR_DIM    "\033[2m"
#define COLOR_MARK   "\033[7m"
#define COLOR_END    "\033[0m"

/* --color[=always|never|auto], --no-color: shall there be colors on standard output? 0, or -1: has
 * complained. */
int color_parse(const struct cmdline *c, bool *ret);

#endif
