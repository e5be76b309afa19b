/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Greetings as JSON, so that a later version can add to them. Unknown keys are ignored. */
#include <string.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "broker/overlay/hello.h"

static size_t text_size(const void *data, size_t size)
{
    return strnlen(data, size);
}

char *hello_encode(const struct hello *h)
{
    CLEANUP(json_decrefp)
    json_t *o = json_pack("{s:[i,i] s:I s:I s:s s:s s:s s:I s:s*}", "version", h->version_min,
                          h->version_max, "rank", (json_int_t)h->rank, "size", (json_int_t)h->size,
                          "uuid", h->uuid, "epoch", h->epoch, "hostname", h->host, "event_seq",
                          (json_int_t)h->event_seq, "session", h->session[0] ? h->session : NULL);

    return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

static int copy(char *to, size_t size, const char *from)
{
    return (size_t)snprintf(to, size, "%s", from) < size ? 0 : -EPROTO;
}

int hello_decode(const void *data, size_t size, struct hello *ret)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *uuid, *epoch, *host, *session = "";
    json_int_t rank, instance_size, seq;
    struct hello h = { 0 };

    if (size == 0)
        return -EPROTO;
    o = jsonx_decode_object(data, text_size(data, size), NULL);
    if (!o ||
        json_unpack(o, "{s:[i,i] s:I s:I s:s s:s s:s s:I s?s}", "version", &h.version_min,
                    &h.version_max, "rank", &rank, "size", &instance_size, "uuid", &uuid, "epoch",
                    &epoch, "hostname", &host, "event_seq", &seq, "session", &session) < 0)
        return -EPROTO;
    if (rank < 0 || rank > UINT32_MAX || instance_size < 1 || instance_size > UINT32_MAX ||
        seq < 0 || seq > UINT32_MAX || copy(h.uuid, sizeof(h.uuid), uuid) < 0 ||
        copy(h.epoch, sizeof(h.epoch), epoch) < 0 || copy(h.host, sizeof(h.host), host) < 0 ||
        copy(h.session, sizeof(h.session), session) < 0)
        return -EPROTO;
    h.rank = (uint32_t)rank;
    h.size = (uint32_t)instance_size;
    h.event_seq = (uint32_t)seq;
    *ret = h;
    return 0;
}

char *refusal_encode(const struct refusal *r)
{
    CLEANUP(json_decrefp)
    json_t *o = json_pack("{s:i s:s}", "errnum", r->errnum, "reason", r->reason);

    return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

int refusal_decode(const void *data, size_t size, struct refusal *ret)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *reason;

    if (size == 0)
        return -EPROTO;
    o = jsonx_decode_object(data, text_size(data, size), NULL);
    if (!o || json_unpack(o, "{s:i s:s}", "errnum", &ret->errnum, "reason", &reason) < 0)
        return -EPROTO;
    (void)snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
    return 0;
}

int hello_version(const struct hello *ours, const struct hello *theirs, flux_error_t *error)
{
    const int version =
        ours->version_max < theirs->version_max ? ours->version_max : theirs->version_max;

    if (version >= ours->version_min && version >= theirs->version_min)
        return version;
    return errorx_fail(error, EPROTONOSUPPORT,
                       "%s speaks versions %d to %d of the protocol between routers, %s %d to %d: "
                       "upgrade %s",
                       theirs->host, theirs->version_min, theirs->version_max, ours->host,
                       ours->version_min, ours->version_max,
                       version < theirs->version_min ? ours->host : theirs->host);
}
