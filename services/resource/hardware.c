/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Loading a whole hwloc topology takes ten times as long as counting cores does, so sysfs is asked
 * where it says enough: cores that this process may use, and whether the PCI bus has a display
 * controller or processing accelerator at all. Only then, or when sysfs knows no cores, hwloc is
 * loaded, without types that nobody asked for.
 *
 * A gpu is a PCI device that a vendor's library named (CUDA, OpenCL, NVML, RSMI: co-processor or
 * such a GPU object), or whose class is 3D controller or accelerator, or an NVIDIA or AMD display
 * controller with a DRM device. The console of a server is none. Several OS devices of one PCI
 * device count once. */
#include <dirent.h>
#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "resource/hardware.h"
#include "service/cputopo.h"

#define PCI_DEVICES       "/sys/bus/pci/devices"

#define PCI_DISPLAY       0x03
#define PCI_ACCELERATOR   0x12
#define PCI_DISPLAY_VGA   0x0300
#define PCI_DISPLAY_3D    0x0302
#define PCI_VENDOR_AMD    0x1002
#define PCI_VENDOR_NVIDIA 0x10de

DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(DIR *, closedir)
DEFINE_CLEANUP(hwloc_bitmap_t, hwloc_bitmap_free)
DEFINE_CLEANUP(hwloc_topology_t, hwloc_topology_destroy)

static bool pci_device_may_be_gpu(const char *name)
{
    CLEANUP(fclosep) FILE *f = NULL;
    char path[300];
    unsigned int class;

    (void)snprintf(path, sizeof(path), PCI_DEVICES "/%s/class", name);
    f = fopen(path, "re");
    return f && fscanf(f, "%x", &class) == 1 &&
           (class >> 16 == PCI_DISPLAY || class >> 16 == PCI_ACCELERATOR);
}

static bool gpus_are_possible(void)
{
    CLEANUP(closedirp) DIR *dir = opendir(PCI_DEVICES);
    struct dirent *e;

    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.' && pci_device_may_be_gpu(e->d_name))
            return true;
    return false;
}

static int topology_new(hwloc_topology_t *ret)
{
    return hwloc_topology_init(ret) == 0 ? 0 : -ENOMEM;
}

static int topology_load(hwloc_topology_t topo, bool norestrict)
{
    CLEANUP(hwloc_bitmap_freep) hwloc_bitmap_t bound = hwloc_bitmap_alloc();

    if (!bound || hwloc_topology_load(topo) < 0)
        return -errno;
    if (norestrict || hwloc_get_cpubind(topo, bound, HWLOC_CPUBIND_PROCESS) < 0)
        return 0;
    return hwloc_topology_restrict(topo, bound, 0) == 0 ? 0 : -errno;
}

static bool osdev_is_gpu(hwloc_obj_t osdev)
{
    const union hwloc_obj_attr_u *attr = osdev->attr;
    const struct hwloc_pcidev_attr_s *pci;
    const char *name = osdev->name ? osdev->name : "";

    if (attr->osdev.type == HWLOC_OBJ_OSDEV_COPROC)
        return true;
    if (attr->osdev.type != HWLOC_OBJ_OSDEV_GPU)
        return false;
    if (strncmp(name, "nvml", 4) == 0 || strncmp(name, "rsmi", 4) == 0)
        return true;
    if (!osdev->parent || osdev->parent->type != HWLOC_OBJ_PCI_DEVICE)
        return false;
    pci = &osdev->parent->attr->pcidev;
    return pci->class_id == PCI_DISPLAY_3D || pci->class_id >> 8 == PCI_ACCELERATOR ||
           (pci->class_id == PCI_DISPLAY_VGA &&
            (pci->vendor_id == PCI_VENDOR_NVIDIA || pci->vendor_id == PCI_VENDOR_AMD));
}

static unsigned int count_gpus(hwloc_topology_t topo)
{
    hwloc_obj_t osdev = NULL, last_pci = NULL;
    unsigned int n = 0;

    /* OS devices come in the order of their PCI devices. */
    while ((osdev = hwloc_get_next_osdev(topo, osdev))) {
        if (!osdev_is_gpu(osdev) || (last_pci && osdev->parent == last_pci))
            continue;
        last_pci =
            osdev->parent && osdev->parent->type == HWLOC_OBJ_PCI_DEVICE ? osdev->parent : NULL;
        n++;
    }
    return n;
}

static struct idset *idset_upto(unsigned int n)
{
    CLEANUP(idset_destroyp) struct idset *ids = idset_create(n ? n : 1, IDSET_FLAG_AUTOGROW);

    if (!ids || (n > 0 && idset_range_set(ids, 0, n - 1) < 0))
        return NULL;
    return TAKE(ids);
}

static int load_by_hwloc(bool norestrict, struct idset **ret_cores, struct idset **ret_gpus)
{
    CLEANUP(hwloc_topology_destroyp) hwloc_topology_t topo = NULL;
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    bool devices = gpus_are_possible();
    int ncores, rc;

    if ((rc = topology_new(&topo)) < 0)
        return rc;
    (void)hwloc_topology_set_all_types_filter(topo, HWLOC_TYPE_FILTER_KEEP_NONE);
    (void)hwloc_topology_set_type_filter(topo, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (devices)
        (void)hwloc_topology_set_io_types_filter(topo, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    (void)hwloc_topology_set_flags(topo, HWLOC_TOPOLOGY_FLAG_NO_DISTANCES |
                                             HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
                                             HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS);
    if ((rc = topology_load(topo, norestrict)) < 0)
        return rc;
    ncores = hwloc_get_nbobjs_by_type(topo, HWLOC_OBJ_CORE);
    if (ncores <= 0) /* some virtual machines tell of processing units only */
        ncores = hwloc_get_nbobjs_by_type(topo, HWLOC_OBJ_PU);
    cores = idset_upto(ncores > 0 ? (unsigned int)ncores : 1);
    gpus = idset_upto(devices ? count_gpus(topo) : 0);
    if (!cores || !gpus)
        return -ENOMEM;
    *ret_cores = TAKE(cores);
    *ret_gpus = TAKE(gpus);
    return 0;
}

/* The cores of this process, and no gpus. -errno: sysfs does not say. */
static int load_by_sysfs(struct idset **ret_cores, struct idset **ret_gpus)
{
    CLEANUP(cputopo_freep) struct cputopo *topo = NULL;
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    int rc = cputopo_new("/sys/devices/system/cpu", NULL, &topo);

    if (rc < 0)
        return rc;
    if (cputopo_ncores(topo) == 0)
        return -ENOENT;
    cores = idset_upto((unsigned int)cputopo_ncores(topo));
    gpus = idset_upto(0);
    if (!cores || !gpus)
        return -ENOMEM;
    *ret_cores = TAKE(cores);
    *ret_gpus = TAKE(gpus);
    return 0;
}

int hardware_load(bool norestrict, struct idset **ret_cores, struct idset **ret_gpus)
{
    if (!norestrict && !gpus_are_possible() && load_by_sysfs(ret_cores, ret_gpus) == 0)
        return 0;
    return load_by_hwloc(norestrict, ret_cores, ret_gpus);
}

int hardware_xml(bool norestrict, char **ret_xml)
{
    CLEANUP(hwloc_topology_destroyp) hwloc_topology_t topo = NULL;
    char *xml, *copy;
    int rc, len;

    if ((rc = topology_new(&topo)) < 0)
        return rc;
    (void)hwloc_topology_set_io_types_filter(topo, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if ((rc = topology_load(topo, norestrict)) < 0)
        return rc;
    if (hwloc_topology_export_xmlbuffer(topo, &xml, &len, 0) < 0)
        return -errno;
    copy = strdup(xml);
    hwloc_free_xmlbuffer(topo, xml);
    if (!copy)
        return -ENOMEM;
    *ret_xml = copy;
    return 0;
}
