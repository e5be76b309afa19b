/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef FLUXCTL_REAL_TEXT_H
#define FLUXCTL_REAL_TEXT_H

#define REAL_TEXT_SIZE 32

/* x as Python's repr() has it: the fewest digits that read back as the same number, "100.0",
 * "1e+16", "1.5e-05". */
void real_text(char buf[static REAL_TEXT_SIZE], double x);

#endif
