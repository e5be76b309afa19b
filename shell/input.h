/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Standard input of tasks. */
#ifndef SHELL_INPUT_H
#define SHELL_INPUT_H

#include "base/iodata.h"
#include "shell.h"

/* Input from an attached user, for the tasks it names. 0; -EAGAIN: the tasks do not read, nothing
 * was taken, on_room follows; -EINVAL (stream or ranks); -EPIPE: the job takes no input from there.
 */
int input_write(struct input *in, const struct iodata *io);
/* Called when -EAGAIN was returned and there is room again. */
void input_set_on_room(struct input *in, void (*on_room)(void *arg), void *arg);

#endif
