/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-content --write: a new store from what comes on standard input. */
#ifndef CONTENT_WRITER_H
#define CONTENT_WRITER_H

/* Frames, each u32be size and a payload of content.commit; roots only in the last one, which has
 * "checkpoints":{...} and "end":true in its header too. Only with that one is there a file. The
 * exit status. */
int writer_run(const char *path, const char *hash);

#endif
