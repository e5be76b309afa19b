/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Checked number parsing: the whole string, decimal unless said otherwise, no leading space or
 * plus. 0, -EINVAL (not a number), -ERANGE. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdint.h>

int number_parse_u64(const char *s, uint64_t max, uint64_t *ret);
int number_parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
int number_parse_u32(const char *s, uint32_t *ret);
int number_parse_int(const char *s, int min, int max, int *ret);
int number_parse_double(const char *s, double *ret); /* finite only */
int number_parse_size(const char *s, uint64_t *ret); /* suffixes K M G T, powers of 1024 */

#endif
