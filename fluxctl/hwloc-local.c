/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The topology of this node. The library is loaded when it is asked for and not linked: fluxctl is
 * started thousands of times for each time that somebody asks. */
#include "hwloc-local.h"

#include <dlfcn.h>
#include <hwloc.h>
#include <string.h>

#include "client.h"

#define HWLOC_SONAME "libhwloc.so.15"

struct library {
    void *handle;
    __typeof__(hwloc_topology_init) *init;
    __typeof__(hwloc_topology_load) *load;
    __typeof__(hwloc_topology_set_io_types_filter) *set_io_types_filter;
    __typeof__(hwloc_topology_export_xmlbuffer) *export_xmlbuffer;
    __typeof__(hwloc_free_xmlbuffer) *free_xmlbuffer;
    __typeof__(hwloc_topology_destroy) *destroy;
};

static bool library_open(struct library *l)
{
    const struct {
        const char *name;
        void *where;
    } symbols[] = {
        { "hwloc_topology_init", &l->init },
        { "hwloc_topology_load", &l->load },
        { "hwloc_topology_set_io_types_filter", &l->set_io_types_filter },
        { "hwloc_topology_export_xmlbuffer", &l->export_xmlbuffer },
        { "hwloc_free_xmlbuffer", &l->free_xmlbuffer },
        { "hwloc_topology_destroy", &l->destroy },
    };

    if (!(l->handle = dlopen(HWLOC_SONAME, RTLD_NOW | RTLD_LOCAL)))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
        void *symbol = dlsym(l->handle, symbols[i].name);

        if (!symbol)
            return false;
        memcpy(symbols[i].where, &symbol, sizeof(symbol));
    }
    return true;
}

static char *read_topology(const struct library *l)
{
    hwloc_topology_t topology;
    char *xml = NULL, *copy = NULL;
    int len;

    if (l->init(&topology) < 0)
        return NULL;
    (void)l->set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (l->load(topology) == 0 && l->export_xmlbuffer(topology, &xml, &len, 0) == 0) {
        copy = strdup(xml);
        l->free_xmlbuffer(topology, xml);
    }
    l->destroy(topology);
    return copy;
}

char *hwloc_local_xml(void)
{
    struct library l = { .handle = NULL };
    char *xml = NULL;

    if (!library_open(&l))
        complain("cannot use hwloc: %s", dlerror());
    else if (!(xml = read_topology(&l)))
        complain("hwloc cannot read the topology of this node: %s", strerror(errno));
    if (l.handle)
        (void)dlclose(l.handle);
    return xml;
}
