/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A job that is an instance of its own: what batch and alloc share. */
#ifndef FLUXCTL_NESTED_H
#define FLUXCTL_NESTED_H

#include "job-request.h"

#define NESTED_OPTIONS                                                                             \
    { 'n', "nslots", "N", "Number of slots; without it --nodes, and whole ones" },                 \
        { 'N', "nodes", "N", "Number of nodes; slots are spread evenly over them" },               \
        { 'c', "cores-per-slot", "N", "Cores for each slot (default 1)" },                         \
        { 'g', "gpus-per-slot", "N", "GPUs for each slot (default none)" },                        \
        { 'x', "exclusive", NULL, "Whole nodes (with --nodes)" },                                  \
        { 'B', "broker-opts", "OPT", "Option for the routers of the new instance; repeatable" },   \
        { 0, "conf", "FILE|KEY=VAL", "Configuration of it: a TOML file, a value, or TOML lines" }, \
        { 0, "add-file", "[NAME=]PATH", "Have a file in the job's directory, {{tmpdir}}/NAME" },   \
        JOB_COMMON_OPTIONS

struct nested {
    const struct cmdline *c;
    char **argv;        /* the command of the job */
    json_t *files;      /* RFC 37 */
    const char *name;   /* of the job; lent */
    const char *output; /* default of --output; NULL: none */
    bool terminal;      /* for what it runs */
};

/* Begin with the options of the command line. -1: has complained. */
int nested_init(struct nested *n, const struct cmdline *c);
void nested_deinit(struct nested *n);
/* A file for the job. mode: permissions. */
int nested_add_file(struct nested *n, const char *name, const char *data, size_t size, int mode);
/* A word of what the new instance runs. */
int nested_add_word(struct nested *n, const char *word);
int nested_request(struct nested *n, struct job_request *req);

/* A whole file; path NULL: standard input. malloc'd; NULL: has complained. */
char *read_whole(const char *path, size_t *ret_size);

#endif
