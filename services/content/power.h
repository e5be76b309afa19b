/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For tests: a computer whose power fails. Between power_begin() and power_restore() the files of
 * one directory, SQLite's and the journal's, are written through here. What was written and not
 * synced when the power fails is kept, lost or torn at random, sector by sector; so are new and
 * deleted files whose directory was not synced. After the cut every call fails. Nothing ever waits
 * for the real disk. */
#ifndef CONTENT_POWER_H
#define CONTENT_POWER_H

#include "content/segment.h"

void power_register(void); /* SQLite's default VFS from now on */
/* What is in the directory now is on the disk. The cut comes with the n-th write, sync or removal
 * from now. */
void power_begin(const char *dir, unsigned int seed, int n);
bool power_is_off(void);
/* After everything is closed: makes the directory what the disk holds. */
void power_restore(void);

extern const struct segment_io power_io;

#endif
