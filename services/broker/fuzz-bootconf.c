/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A configuration as TOML, which an administrator wrote: what is accepted has URIs that are URIs,
 * and the same ranks and tree wherever it is read. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/toml.h"
#include "broker/bootconf.h"
#include "broker/tbonconf.h"
#include "broker/topology.h"

static void use(const struct bootconf *b)
{
    char uri[BOOTCONF_URI_SIZE];
    flux_error_t error;

    assert(b->rank < b->size && (int)b->size == hostlist_count(b->hosts));
    for (uint32_t r = 0; r < b->size && r < 16; r++) {
        if (bootconf_bind(b, r, uri, &error) == 0)
            assert(endpoint_check("bind", uri, ENDPOINT_BIND, b->enable_ipv6, &error) == 0);
        if (bootconf_connect(b, r, uri, &error) == 0)
            assert(endpoint_check("connect", uri, ENDPOINT_CONNECT, b->enable_ipv6, &error) == 0);
    }
    if (b->curve_cert)
        (void)bootconf_cert(b, uri, &error);
}

static void shape(const struct bootconf *b, const struct tbonconf *t)
{
    CLEANUP(topology_freep) struct topology *topo = NULL;
    flux_error_t error;

    if (t->topo && topology_new(t->topo, b->size, b->parents, &topo, &error) == 0)
        assert(topology_descendants(topo, 0) == b->size - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(bootconf_freep) struct bootconf *b = NULL;
    CLEANUP(freep) char *text = strndup((const char *)data, size);
    struct tbonconf t;
    flux_error_t error;

    if (!text)
        return 0;
    o = toml_parse_string(text, strlen(text), &error);
    if (!o)
        return 0;
    if (bootconf_new(o, "n0", &b, &error) < 0)
        return 0;
    use(b);
    if (tbonconf_read(&t, o, NULL, &error) == 0)
        shape(b, &t);
    return 0;
}
