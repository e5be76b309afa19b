/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The user's own systemd, over its private socket: no message bus needed. Calls block, with limits.
 */
#ifndef SUPERVISE_USERMANAGER_H
#define SUPERVISE_USERMANAGER_H

#include <flux/types.h>
#include "base/cleanup.h"

struct usermanager;

int usermanager_open(struct usermanager **ret, flux_error_t *error);
struct usermanager *usermanager_close(struct usermanager *m);
DEFINE_CLEANUP(struct usermanager *, usermanager_close)

int usermanager_reload(struct usermanager *m, flux_error_t *error);
/* Wait until the job is done; anything but success is -EIO with a sentence. */
int usermanager_start(struct usermanager *m, const char *unit, flux_error_t *error);
int usermanager_stop(struct usermanager *m, const char *unit, flux_error_t *error);
/* These ignore failures: there may be nothing to do. */
void usermanager_kill(struct usermanager *m, const char *unit, int sig);
void usermanager_reset_failed(struct usermanager *m, const char *unit);

#endif
