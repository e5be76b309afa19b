/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which of several exit codes is that of the whole: the highest, but what ended by SIGTERM because
 * others had failed gives way to a command that could not be executed (126, 127). */
#ifndef BASE_EXITCODE_H
#define BASE_EXITCODE_H

#include <signal.h>
#include <stdbool.h>

static inline bool exitcode_is_worse(int code, int than)
{
    const int told = 128 + SIGTERM;

    if (code == told && (than == 126 || than == 127))
        return false;
    if (than == told && (code == 126 || code == 127))
        return true;
    return code > than;
}

#endif
