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
/* Writes all of it; blocks as long as the file system does. 0 or -errno. */
int outfile_write(struct outfile *file, const char *data, size_t size);
/* Text with each line prefixed by "LABEL: "; *at_line_start carries over. malloc'd; NULL ENOMEM. */
char *outfile_label(const char *data, size_t size, int label, bool *at_line_start,
                    size_t *ret_size);

/* What a task on another node wrote into a file of the whole job. 0, or -EPROTO: no such file. */
struct output;
int output_write_stream(struct output *o, const char *stream, const char *data, size_t size);

#endif
