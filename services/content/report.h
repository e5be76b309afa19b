/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a check or a repair found, as content.check and content.repair answer it. New objects. */
#ifndef CONTENT_REPORT_H
#define CONTENT_REPORT_H

#include "content/inspect.h"
#include "content/salvage.h"

json_t *report_found(enum digest_algorithm hash, const struct inspect_found *found);
json_t *report_salvage(const struct salvage_report *report);

#endif
