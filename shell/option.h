/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shell options as people write them: -o NAME is 1, values are numbers, strings or booleans. */
#ifndef SHELL_OPTION_H
#define SHELL_OPTION_H

#include "info.h"

/* 1: it is set, 0: it is not (*ret unchanged), -EINVAL with a sentence. */
int option_flag(const struct shell_info *info, const char *path, bool *ret, flux_error_t *error);
int option_int(const struct shell_info *info, const char *path, int min, int max, int *ret,
               flux_error_t *error);
/* A number of seconds or a duration (RFC 23). none_ok: "none" is -1. */
int option_duration(const struct shell_info *info, const char *path, bool none_ok, double *ret,
                    flux_error_t *error);
/* Bytes, with an optional suffix k, K, M or G and fractions ("1.5M"). */
int option_size(const struct shell_info *info, const char *path, uint64_t max, uint64_t *ret,
                flux_error_t *error);

/* The pure parts. 0 or -EINVAL. */
int option_parse_size(const char *s, uint64_t *ret);
/* "USR1", "SIGUSR1", "10". */
int option_parse_signal(const char *s, int *ret);

#endif
