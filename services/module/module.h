/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A module's file: finding, opening and describing it. */
#ifndef MODULE_MODULE_H
#define MODULE_MODULE_H

#include <jansson.h>
#include <stdbool.h>

#include <flux/module.h>

#define MODULE_NAME_MAX 64

struct module {
    char *path;
    char name[MODULE_NAME_MAX + 1];
    void *handle; /* of dlopen */
    mod_main_f *main;
};

/* Open the file at `what` if that has a slash, else what.so in the directories of `search`
 * (separated by colons). 0 or -errno with a sentence. Runs the constructors of the file. */
int module_open(const char *what, const char *search, struct module *ret, flux_error_t *error);
void module_close(struct module *m);
/* {name, path, size}; a new reference. */
json_t *module_describe(const struct module *m);
/* May a service be called so? */
bool module_name_ok(const char *name);

#endif
