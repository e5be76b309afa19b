/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Services of third parties: see flux_module_debug_test(3) and flux-module(1).
 *
 * A module is a shared object with a mod_main() that is run in a process of its own:
 *
 *     MOD_NAME("hello");
 *     int mod_main(flux_t *h, int argc, char **argv)
 *
 * h is connected to the router of the node, the service "hello" is registered, argv[0..argc-1] are
 * the arguments of `flux module load`. The module counts as started when it first runs the reactor
 * of h, or returns; -1 with errno is a failure. */
#ifndef FLUX_MODULE_H
#define FLUX_MODULE_H

#include <flux/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int(mod_main_f)(flux_t *h, int argc, char **argv);

/* The name of the service; without it the file name up to the first period is taken. */
#define MOD_NAME(name)                                                  \
    __attribute__((visibility("default"))) extern const char *mod_name; \
    const char *mod_name = name

/* Is one of these debug flags set (flux module debug)? clear: reset them if so. */
bool flux_module_debug_test(flux_t *h, int flags, bool clear);

#ifdef __cplusplus
}
#endif

#endif
