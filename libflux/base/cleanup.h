/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Scope-bound cleanup and small macros. Ownership rules: HACKING.md. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Move a pointer out of a variable that has a cleanup attribute. */
#define TAKE(p)                         \
    ({                                  \
        __auto_type take_p_ = &(p);     \
        __auto_type take_v_ = *take_p_; \
        *take_p_ = NULL;                \
        take_v_;                        \
    })

/* Move a descriptor out likewise. */
#define TAKE_FD(fd)             \
    ({                          \
        int *take_p_ = &(fd);   \
        int take_v_ = *take_p_; \
        *take_p_ = -EBADF;      \
        take_v_;                \
    })

/* Define "static void NAMEp(TYPE *p)" for CLEANUP from a free function that takes NULL. */
#define DEFINE_CLEANUP(type, fn)      \
    static inline void fn##p(type *p) \
    {                                 \
        if (*p)                       \
            fn(*p);                   \
    }

static inline void freep(void *p)
{
    free(*(void **)p);
}

static inline void closep(int *fd)
{
    if (*fd >= 0) {
        int saved_errno = errno;
        (void)close(*fd);
        errno = saved_errno;
    }
}

static inline void fclosep(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
