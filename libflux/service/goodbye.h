/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The router's last word before it leaves for good: an event, to its daemons and to those who have
 * registered services. */
#ifndef SERVICE_GOODBYE_H
#define SERVICE_GOODBYE_H

#define SERVICE_GOODBYE "broker.goodbye"

#endif
