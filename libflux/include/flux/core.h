/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The whole client API of libflux-core. */
#ifndef FLUX_CORE_H
#define FLUX_CORE_H

#include <flux/types.h>
#include <flux/core_version.h>
#include <flux/message.h>
#include <flux/reactor.h>
#include <flux/handle.h>
#include <flux/future.h>
#include <flux/request.h>
#include <flux/response.h>
#include <flux/rpc.h>
#include <flux/event.h>
#include <flux/dispatch.h>
#include <flux/service.h>
#include <flux/attr.h>
#include <flux/barrier.h>
#include <flux/content.h>
#include <flux/kvs.h>
#include <flux/log.h>
#include <flux/module.h>
#include <flux/sync.h>
#include <flux/job.h>
#include <flux/idset.h>
#include <flux/hostlist.h>

#endif
