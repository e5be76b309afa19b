/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* SERVICE.stats-get and SERVICE.rusage. Counters only: no names of users, no payloads, so that
 * every user may ask. */
#include <sys/resource.h>

#include "base/monotime.h"
#include "service/state.h"

void stats_init(struct stats *s)
{
    *s = (struct stats){ .start_usec = monotime_usec() };
}

void stats_clear(struct stats *s)
{
    *s = (struct stats){ .start_usec = s->start_usec };
}

json_t *service_stats_json(const struct service *svc)
{
    const struct stats *s = &svc->stats;
    json_t *o = json_pack(
        "{s:f s:i s:I s:I s:I s:I s:I s:I s:I s:I s:I s:o}", /* keep in step with the keys */
        "uptime", (double)(monotime_usec() - s->start_usec) / 1e6, "pid", (int)getpid(), "requests",
        (json_int_t)s->requests, "errors", (json_int_t)s->errors, "inflight",
        (json_int_t)request_count(svc), "users", (json_int_t)quota_users(svc->quota), "disconnects",
        (json_int_t)s->disconnects, "refused", (json_int_t)s->refused, "bad_peers",
        (json_int_t)s->bad_peer, "connections", (json_int_t)peers_count(svc->peers), "debug",
        (json_int_t)svc->debug_flags, "methods", dispatch_stats(svc->dispatch));

    if (o && svc->desc->on_stats)
        svc->desc->on_stats(o, svc->arg);
    return o;
}

static double seconds(struct timeval tv)
{
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

json_t *stats_rusage(void)
{
    struct rusage ru;

    if (getrusage(RUSAGE_SELF, &ru) < 0)
        return NULL;
    return json_pack("{s:f s:f s:I s:I s:I s:I s:I s:I s:I}", "utime", seconds(ru.ru_utime),
                     "stime", seconds(ru.ru_stime), "maxrss", (json_int_t)ru.ru_maxrss, "minflt",
                     (json_int_t)ru.ru_minflt, "majflt", (json_int_t)ru.ru_majflt, "inblock",
                     (json_int_t)ru.ru_inblock, "oublock", (json_int_t)ru.ru_oublock, "nvcsw",
                     (json_int_t)ru.ru_nvcsw, "nivcsw", (json_int_t)ru.ru_nivcsw);
}
