/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For test-client.c: a PMI-1 library that knows one process and one key. */
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

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

static char stored_key[64], stored_value[256];
static int committed;

int PMI_Init(int *spawned)
{
    *spawned = 0;
    return 0;
}

int PMI_Get_rank(int *rank)
{
    *rank = 1;
    return 0;
}

int PMI_Get_size(int *size)
{
    *size = 3;
    return 0;
}

int PMI_KVS_Get_my_name(char *name, int length)
{
    (void)snprintf(name, (size_t)length, "fake1");
    return 0;
}

int PMI_KVS_Get_key_length_max(int *length)
{
    *length = 64;
    return 0;
}

int PMI_KVS_Get_value_length_max(int *length)
{
    *length = 256;
    return 0;
}

int PMI_KVS_Put(const char *kvsname, const char *key, const char *value)
{
    (void)snprintf(stored_key, sizeof(stored_key), "%s", key);
    (void)snprintf(stored_value, sizeof(stored_value), "%s", value);
    return strcmp(kvsname, "fake1") == 0 ? 0 : -1;
}

int PMI_KVS_Commit(const char *kvsname)
{
    committed = 1;
    return 0;
}

int PMI_Barrier(void)
{
    return committed ? 0 : -1;
}

int PMI_KVS_Get(const char *kvsname, const char *key, char *value, int length)
{
    if (strcmp(key, stored_key) != 0)
        return -1;
    (void)snprintf(value, (size_t)length, "%s", stored_value);
    return 0;
}

int PMI_Finalize(void)
{
    return 0;
}
