/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For whoever starts the unit of a job: the privileged helper and flux-exec. */
#ifndef IMP_EXIT_CODES_H
#define IMP_EXIT_CODES_H

#include <systemd/sd-bus.h>

/* Whatever the shell exits with is how the tasks ended, which is no failure of the unit: only a
 * shell that is killed, or does not end in time, is told to the administrator. 0 or -errno. */
int unit_append_exit_codes(sd_bus_message *m);

#endif
