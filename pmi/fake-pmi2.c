/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For test-client.c: a PMI-2 library that knows one process and one key. */
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int PMI2_Init(int *spawned, int *size, int *rank, int *appnum);
EXPORT int PMI2_Job_GetId(char *jobid, int size);
EXPORT int PMI2_KVS_Put(const char *key, const char *value);
EXPORT int PMI2_KVS_Fence(void);
EXPORT int PMI2_KVS_Get(const char *jobid, int id, const char *key, char *value, int size,
                        int *len);
EXPORT int PMI2_Finalize(void);

static char stored_key[64], stored_value[1024];

int PMI2_Init(int *spawned, int *size, int *rank, int *appnum)
{
    *spawned = 0;
    *size = 2;
    *rank = 0;
    *appnum = 0;
    return 0;
}

int PMI2_Job_GetId(char *jobid, int size)
{
    (void)snprintf(jobid, (size_t)size, "fake2");
    return 0;
}

int PMI2_KVS_Put(const char *key, const char *value)
{
    (void)snprintf(stored_key, sizeof(stored_key), "%s", key);
    (void)snprintf(stored_value, sizeof(stored_value), "%s", value);
    return 0;
}

int PMI2_KVS_Fence(void)
{
    return 0;
}

int PMI2_KVS_Get(const char *jobid, int id, const char *key, char *value, int size, int *len)
{
    if (strcmp(key, stored_key) != 0 || strcmp(jobid, "fake2") != 0)
        return -1;
    (void)snprintf(value, (size_t)size, "%s", stored_value);
    *len = (int)strlen(stored_value);
    return 0;
}

int PMI2_Finalize(void)
{
    return 0;
}
