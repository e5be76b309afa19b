/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Stored are one descriptor for each connection, "peer-N", and "state", JSON in a sealed memfd:
 *
 *     {"version":1, "peers":[{"name":"peer-N", "client":BOOL,
 *                             "requests":[{"msg":BASE64, "resume"?:OBJECT}, ...]}, ...]}
 *
 * The requests are whole messages (RFC 3), with the credentials they were given when they came: of
 * methods that may be begun again (RPC_METHOD_RESUME; "resume" is what the daemon wants to find
 * then), and those that were read and not begun. Nothing else is left in this process: what was
 * queued has been sent, and what was not read waits in the kernel.
 *
 * Not stored, so that they end with the process: connections that carry a protocol of two daemons
 * with a greeting of its own (RPC_METHOD_SESSION), those that do not take their output in time,
 * those beyond PEERS_MAX or with more requests than fit (requests.h). After a crash there is no
 * state and nothing is taken up: listen.c closes what is left in the store. */
#include <string.h>

#include "base/monotime.h"
#include "service/fdstore.h"
#include "service/handover.h"
#include "service/log.h"
#include "service/requests.h"
#include "service/state.h"

#define STATE_VERSION   1
#define PEERS_MAX       1000 /* FileDescriptorStoreMax= of the units is 1024 */
#define FLUSH_WAIT_USEC 500000
#define NAME_SIZE       32

/* --- save */

/* 0: the connection and what is known of it are on their way; -errno: not. */
static int save_peer(struct peer *p, size_t n, json_t *peers)
{
    char name[NAME_SIZE];
    json_t *requests;
    int rc;

    if (peer_is_busy(p) || peer_origin(p)->session)
        return -EPIPE;
    requests = requests_encode(peer_origin(p));
    if (!requests)
        return -EFBIG;
    (void)snprintf(name, sizeof(name), "peer-%zu", n);
    rc = fdstore_put(name, peer_fd(p));
    if (rc < 0)
        json_decref(requests);
    else if (json_array_append_new(peers, json_pack("{s:s s:b s:o}", "name", name, "client",
                                                    peer_is_client(p), "requests", requests)) < 0)
        rc = -ENOMEM;
    return rc;
}

static void settle(struct peers *peers)
{
    const uint64_t end_usec = monotime_usec() + FLUSH_WAIT_USEC;
    struct peer *p;

    peers_hold(peers);
    for (p = peers_next(peers, NULL); p; p = peers_next(peers, p))
        requests_refuse(peer_origin(p));
    for (p = peers_next(peers, NULL); p; p = peers_next(peers, p))
        peer_flush_wait(p, end_usec);
}

void handover_save(struct service *svc)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    json_t *peers;
    struct peer *p;
    size_t n = 0;

    if (!fdstore_possible() || peers_count(svc->peers) == 0)
        return;
    settle(svc->peers);
    o = json_pack("{s:i s:[]}", "version", STATE_VERSION, "peers");
    peers = json_object_get(o, "peers");
    for (p = peers_next(svc->peers, NULL); o && p && n < PEERS_MAX; p = peers_next(svc->peers, p)) {
        if (save_peer(p, n, peers) < 0)
            continue;
        requests_hand_on(peer_origin(p));
        n++;
    }
    if (n > 0 && fdstore_put_json("state", o) == 0)
        fdstore_settle();
    log_info("%zu of %zu connections wait for the next process", n, peers_count(svc->peers));
}

/* --- restore */

static int restore_peer(struct service *svc, const json_t *o)
{
    const char *name;
    struct peer *p;
    json_t *requests;
    int client, fd, rc;

    if (json_unpack((json_t *)o, "{s:s s:b s:o}", "name", &name, "client", &client, "requests",
                    &requests) < 0)
        return -EPROTO;
    fd = fdstore_take(svc, name);
    if (fd < 0)
        return fd;
    rc = peers_adopt(svc->peers, fd, client, &p);
    if (rc < 0)
        return rc;
    requests_resume(svc, peer_origin(p), requests);
    return 0;
}

void handover_restore(struct service *svc)
{
    CLEANUP(json_decrefp) json_t *o = fdstore_take_json(svc, "state");
    const json_t *value;
    size_t i, n = 0;

    if (json_integer_value(json_object_get(o, "version")) != STATE_VERSION)
        return;
    json_array_foreach (json_object_get(o, "peers"), i, value)
        n += restore_peer(svc, value) == 0;
    log_info("took up %zu connections of the process before", n);
}
