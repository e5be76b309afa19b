/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Output files of a job: shared by the tasks and streams that name the same path. */
#ifndef SHELL_OUTPUT_H
#define SHELL_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <flux/types.h>

struct outfiles;
struct outfile;

struct outfiles *outfiles_new(void);
struct outfiles *outfiles_free(struct outfiles *files);
/* append: keep what is there. *ret_first: this call opened it. -errno with a sentence. */
int outfiles_open(struct outfiles *files, const char *path, bool append, struct outfile **ret,
                  bool *ret_first, flux_error_t *error);
/* Writes all of it; blocks as long as the file system does. label >= 0: each line is prefixed with
 * "LABEL: ", *at_line_start carries over. 0 or -errno. */
int outfile_write(struct outfile *file, const char *data, size_t size, int label,
                  bool *at_line_start);

#endif
