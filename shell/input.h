/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Standard input of tasks. */
#ifndef SHELL_INPUT_H
#define SHELL_INPUT_H

#include "base/iodata.h"
#include "shell.h"

/* Input from an attached user, for the tasks it names, which is corrected to those that listen. 0;
 * -EAGAIN: the tasks do not read, nothing was taken, on_room follows; -EINVAL (stream or ranks);
 * -EPIPE: the job takes no input from there.
 */
int input_write(struct input *in, struct iodata *io);
/* At a shell that is not the leader: what the leader sent, which has been recorded. Never refused
 * for lack of room; input_has_room() says whether more may come. */
int input_deliver(struct input *in, const struct iodata *io);
bool input_has_room(const struct input *in);
void input_check_room(struct input *in); /* after anything that made room */
/* At the leader: lines for the input eventlog from another shell. */
int input_record_text(struct input *in, const char *text);
/* Called when -EAGAIN was returned and there is room again. */
void input_set_on_room(struct input *in, void (*on_room)(void *arg), void *arg);

#endif
