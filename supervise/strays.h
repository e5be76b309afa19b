/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Processes that outlived their parents and became ours (we are a child subreaper). */
#ifndef SUPERVISE_STRAYS_H
#define SUPERVISE_STRAYS_H

#include <stdbool.h>

bool strays_exist(void);     /* has this process any child? */
void strays_signal(int sig); /* to every child */

#endif
