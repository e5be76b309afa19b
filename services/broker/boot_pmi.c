/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* By PMI-1: each router publishes a card "HOST KEY URI" under its rank, and reads those of its
 * neighbours after the barrier; rank 0 reads all, for the list of hosts. On one host (the nodes of
 * `flux start --test-size`) the tree is made of unix sockets in the run-time directory, which is
 * closed to others; else of TCP with a key pair of each router's own. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include <flux/hostlist.h>
#include "base/errorx.h"
#include "broker/boot.h"
#include "pmi/client.h"

#define CARD_SIZE (BOOT_HOST_SIZE + BOOT_KEY_SIZE + BOOT_URI_SIZE)
#define NO_KEY    "-"

static bool is_usable(const struct sockaddr *sa, char *buf, size_t size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

    if (!sa || sa->sa_family != AF_INET || ntohl(in->sin_addr.s_addr) >> 24 == 127)
        return false;
    return inet_ntop(AF_INET, &in->sin_addr, buf, (socklen_t)size) != NULL;
}

/* The address others reach this host at: what its name means, or an interface that is up. */
static void find_address(const char *host, char *buf, size_t size)
{
    const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    struct ifaddrs *all = NULL;
    bool found = false;

    if (getaddrinfo(host, NULL, &hints, &list) == 0) {
        for (const struct addrinfo *ai = list; ai && !found; ai = ai->ai_next)
            found = is_usable(ai->ai_addr, buf, size);
        freeaddrinfo(list);
    }
    if (!found && getifaddrs(&all) == 0) {
        for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next)
            found = (i->ifa_flags & IFF_UP) && is_usable(i->ifa_addr, buf, size);
        freeifaddrs(all);
    }
    if (!found)
        (void)snprintf(buf, size, "127.0.0.1");
}

/* Whoever started us as one of several nodes of a test, and told that all are on this host. */
static bool is_on_one_host(struct boot *b)
{
    char expected[48], mapping[48];

    (void)snprintf(expected, sizeof(expected), "(vector,(0,1,%u))", b->size);
    return getenv("FLUX_TEST_NODE") && b->pmi &&
           pmi_client_get(b->pmi, "PMI_process_mapping", mapping, sizeof(mapping), NULL) == 0 &&
           strcmp(mapping, expected) == 0;
}

static int choose_bind(struct boot *b, const struct boot_options *opts, flux_error_t *error)
{
    const bool is_test = !opts->tbon->prefertcp && is_on_one_host(b);
    char address[INET_ADDRSTRLEN];
    const uint32_t *children;
    int n;

    if (!is_test && boot_make_keys(b) < 0)
        return errorx_fail(error, EIO, "no key pair can be made");
    if (topology_children(b->topo, b->rank, &children) == 0)
        return 0;
    if (is_test) {
        n = snprintf(b->bind, sizeof(b->bind), "ipc://%s/tbon", opts->rundir);
    } else {
        find_address(b->host, address, sizeof(address));
        n = snprintf(b->bind, sizeof(b->bind), "tcp://%s:*", address);
    }
    return (size_t)n < sizeof(b->bind)
               ? 0
               : errorx_fail(error, ENAMETOOLONG, "%s: too long", opts->rundir);
}

int boot_pmi_begin(struct boot *b, const struct boot_options *opts, flux_error_t *error)
{
    int rc = pmi_client_new(&b->pmi, error);

    if (rc < 0)
        return rc;
    b->method = "pmi";
    b->rank = (uint32_t)pmi_client_rank(b->pmi);
    b->size = (uint32_t)pmi_client_size(b->pmi);
    rc = boot_shape(b, opts->tbon, "kary:32", error);
    return rc < 0 || b->size == 1 ? rc : choose_bind(b, opts, error);
}

static int put_card(struct boot *b, const char *uri, flux_error_t *error)
{
    char key[32], card[CARD_SIZE];

    (void)snprintf(key, sizeof(key), "flux.%u", b->rank);
    (void)snprintf(card, sizeof(card), "%s,%s,%s", b->host,
                   b->public_key[0] ? b->public_key : NO_KEY, uri ? uri : "");
    return pmi_client_put(b->pmi, key, card, error);
}

static int get_card(struct boot *b, uint32_t rank, struct boot_neighbour *ret, flux_error_t *error)
{
    char name[32], card[CARD_SIZE], key[BOOT_KEY_SIZE] = "";
    char *host, *p = card;
    int rc;

    (void)snprintf(name, sizeof(name), "flux.%u", rank);
    rc = pmi_client_get(b->pmi, name, card, sizeof(card), error);
    if (rc < 0)
        return rc;
    host = strsep(&p, ",");
    if (p && strcspn(p, ",") < sizeof(key))
        (void)snprintf(key, sizeof(key), "%s", strsep(&p, ","));
    if (!p || strlen(host) >= BOOT_HOST_SIZE || strlen(p) >= BOOT_URI_SIZE)
        return errorx_fail(error, EPROTO, "what rank %u has published by PMI makes no sense", rank);
    ret->rank = rank;
    (void)snprintf(ret->host, sizeof(ret->host), "%s", host);
    (void)snprintf(ret->uri, sizeof(ret->uri), "%s", p);
    (void)snprintf(ret->key, sizeof(ret->key), "%s", strcmp(key, NO_KEY) == 0 ? "" : key);
    return 0;
}

static int get_children(struct boot *b, flux_error_t *error)
{
    const uint32_t *ranks;
    const size_t n = topology_children(b->topo, b->rank, &ranks);
    int rc = 0;

    if (n == 0 || !b->public_key[0])
        return 0; /* no keys to know */
    b->children = calloc(n, sizeof(*b->children));
    if (!b->children)
        return -ENOMEM;
    b->nchildren = n;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = get_card(b, ranks[i], &b->children[i], error);
    return rc;
}

static int get_hosts(struct boot *b, flux_error_t *error)
{
    struct hostlist *hl = hostlist_create();
    int rc = hl ? 0 : -ENOMEM;

    for (uint32_t r = 0; r < b->size && rc == 0; r++) {
        struct boot_neighbour n;

        rc = get_card(b, r, &n, error);
        if (rc == 0 && hostlist_append(hl, n.host) < 0)
            rc = -ENOMEM;
    }
    if (rc == 0)
        b->hostlist = hostlist_encode(hl);
    hostlist_destroy(hl);
    return rc;
}

int boot_pmi_finish(struct boot *b, const char *uri, flux_error_t *error)
{
    int rc = 0;

    if (b->size > 1) {
        if ((rc = put_card(b, uri, error)) < 0 || (rc = pmi_client_barrier(b->pmi, error)) < 0 ||
            (rc = get_children(b, error)) < 0)
            return rc;
        rc = b->rank == 0 ? get_hosts(b, error)
                          : get_card(b, topology_parent(b->topo, b->rank), &b->parent, error);
    }
    return rc < 0 ? rc : pmi_client_finalize(b->pmi, error);
}
