/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The command arrays, one per cmd-*.c; see commands.h. */
#ifndef FLUXCTL_FAMILIES_H
#define FLUXCTL_FAMILIES_H

#include "options.h"

extern const struct command cmd_alloc[];
extern const struct command cmd_attr[];
extern const struct command cmd_batch[];
extern const struct command cmd_bulksubmit[];
extern const struct command cmd_cancel[];
extern const struct command cmd_content[];
extern const struct command cmd_content_gc[];
extern const struct command cmd_dump[];
extern const struct command cmd_event[];
extern const struct command cmd_exec[];
extern const struct command cmd_help[];
extern const struct command cmd_hwloc[];
extern const struct command cmd_instance[];
extern const struct command cmd_job[];
extern const struct command cmd_job_list[];
extern const struct command cmd_job_memo[];
extern const struct command cmd_job_purge[];
extern const struct command cmd_job_eventlog[];
extern const struct command cmd_job_status[];
extern const struct command cmd_job_taskmap[];
extern const struct command cmd_jobs[];
extern const struct command cmd_keygen[];
extern const struct command cmd_kvs[];
extern const struct command cmd_kvs_get[];
extern const struct command cmd_kvs_namespace[];
extern const struct command cmd_kvs_eventlog[];
extern const struct command cmd_kvs_list[];
extern const struct command cmd_log[];
extern const struct command cmd_module[];
extern const struct command cmd_overlay[];
extern const struct command cmd_ping[];
extern const struct command cmd_proxy[];
extern const struct command cmd_queue[];
extern const struct command cmd_resource[];
extern const struct command cmd_restore[];
extern const struct command cmd_run[];
extern const struct command cmd_shutdown[];
extern const struct command cmd_start[];
extern const struct command cmd_submit[];
extern const struct command cmd_uri[];
extern const struct command cmd_uptime[];
extern const struct command cmd_watch[];

#endif
