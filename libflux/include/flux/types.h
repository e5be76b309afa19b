/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Types that every other header of the client library uses. */
#ifndef FLUX_TYPES_H
#define FLUX_TYPES_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Destructor for a value handed to a container (aux items, future results). */
typedef void (*flux_free_f)(void *arg);

/* A sentence for a person: what failed, on what, why. Always NUL-terminated. */
typedef struct {
    char text[160];
} flux_error_t;

/* A job identifier: a FLUID (RFC 19). */
typedef uint64_t flux_jobid_t;
#define FLUX_JOBID_ANY UINT64_MAX

/* Ranks with a meaning of their own (RFC 3). */
#define FLUX_NODEID_ANY      0xFFFFFFFFu
#define FLUX_NODEID_UPSTREAM 0xFFFFFFFEu

/* Who sent a message (RFC 12). */
#define FLUX_USERID_UNKNOWN 0xFFFFFFFFu
#define FLUX_ROLE_NONE      0u
#define FLUX_ROLE_OWNER     1u
#define FLUX_ROLE_USER      2u
#define FLUX_ROLE_LOCAL     4u
#define FLUX_ROLE_ALL       0xFFFFFFFFu

struct flux_msg_cred {
    uint32_t userid;
    uint32_t rolemask;
};

typedef struct flux_handle flux_t;
typedef struct flux_msg flux_msg_t;
typedef struct flux_reactor flux_reactor_t;
typedef struct flux_watcher flux_watcher_t;
typedef struct flux_future flux_future_t;
typedef struct flux_msg_handler flux_msg_handler_t;

#ifdef __cplusplus
}
#endif

#endif
