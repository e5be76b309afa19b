/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For test-client.c and tests/test_pmi_library.py: a PMI-1 library (RFC 13) whose processes meet in
 * a directory, a file for each key and for each process that came to a barrier. Its environment:
 * FAKE_PMI_DIR, FAKE_PMI_RANK, FAKE_PMI_SIZE. It waits for as long as it takes, as real ones do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NAME   "fake1"

EXPORT int PMI_Init(int *spawned);
EXPORT int PMI_Get_rank(int *rank);
EXPORT int PMI_Get_size(int *size);
EXPORT int PMI_KVS_Get_my_name(char *name, int length);
EXPORT int PMI_KVS_Get_key_length_max(int *length);
EXPORT int PMI_KVS_Get_value_length_max(int *length);
EXPORT int PMI_KVS_Put(const char *kvsname, const char *key, const char *value);
EXPORT int PMI_KVS_Commit(const char *kvsname);
EXPORT int PMI_Barrier(void);
EXPORT int PMI_KVS_Get(const char *kvsname, const char *key, char *value, int length);
EXPORT int PMI_Finalize(void);

static int rank, size, rounds;
static const char *dir;
static int committed;

static int number(const char *name)
{
    const char *s = getenv(name);

    return s ? (int)strtol(s, NULL, 10) : -1;
}

/* A file of the directory; NULL: it cannot be opened. */
static FILE *file(const char *name, const char *mode)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return fopen(path, mode);
}

int PMI_Init(int *spawned)
{
    *spawned = 0;
    dir = getenv("FAKE_PMI_DIR");
    rank = number("FAKE_PMI_RANK");
    size = number("FAKE_PMI_SIZE");
    return dir && rank >= 0 && size > 0 ? 0 : -1;
}

int PMI_Get_rank(int *ret_rank)
{
    *ret_rank = rank;
    return 0;
}

int PMI_Get_size(int *ret_size)
{
    *ret_size = size;
    return 0;
}

int PMI_KVS_Get_my_name(char *name, int length)
{
    (void)snprintf(name, (size_t)length, NAME);
    return 0;
}

int PMI_KVS_Get_key_length_max(int *length)
{
    *length = 64;
    return 0;
}

int PMI_KVS_Get_value_length_max(int *length)
{
    *length = 1024;
    return 0;
}

int PMI_KVS_Put(const char *kvsname, const char *key, const char *value)
{
    FILE *f = strcmp(kvsname, NAME) == 0 ? file(key, "w") : NULL;

    return f && fputs(value, f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

int PMI_KVS_Commit(const char *kvsname)
{
    committed = 1;
    return 0;
}

int PMI_Barrier(void)
{
    char name[64];
    FILE *f;

    if (!committed)
        return -1;
    (void)snprintf(name, sizeof(name), "barrier-%d-%d", ++rounds, rank);
    if (!(f = file(name, "w")) || fclose(f) != 0)
        return -1;
    for (int i = 0; i < size; i++) {
        (void)snprintf(name, sizeof(name), "barrier-%d-%d", rounds, i);
        while (!(f = file(name, "r")))
            (void)usleep(1000);
        (void)fclose(f);
    }
    return 0;
}

int PMI_KVS_Get(const char *kvsname, const char *key, char *value, int length)
{
    FILE *f = strcmp(kvsname, NAME) == 0 ? file(key, "r") : NULL;

    if (!f)
        return -1;
    value[fread(value, 1, (size_t)length - 1, f)] = '\0';
    return fclose(f);
}

int PMI_Finalize(void)
{
    return 0;
}
