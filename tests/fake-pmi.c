/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A PMI-1 library (RFC 13) that meets in a directory: FAKE_PMI_DIR, FAKE_PMI_RANK, FAKE_PMI_SIZE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number(const char *name)
{
    return atoi(getenv(name));
}
static char *path(char *buf, size_t size, const char *name)
{
    snprintf(buf, size, "%s/%s", getenv("FAKE_PMI_DIR"), name);
    return buf;
}
static int rounds;

int PMI_Init(int *spawned)
{
    *spawned = 0;
    return 0;
}
int PMI_Get_rank(int *rank)
{
    *rank = number("FAKE_PMI_RANK");
    return 0;
}
int PMI_Get_size(int *size)
{
    *size = number("FAKE_PMI_SIZE");
    return 0;
}
int PMI_KVS_Get_my_name(char *name, int length)
{
    snprintf(name, length, "fake");
    return 0;
}
int PMI_KVS_Get_key_length_max(int *n)
{
    *n = 64;
    return 0;
}
int PMI_KVS_Get_value_length_max(int *n)
{
    *n = 1024;
    return 0;
}
int PMI_KVS_Put(const char *kvs, const char *key, const char *value)
{
    char name[512];
    FILE *f = fopen(path(name, sizeof(name), key), "w");
    return f && fputs(value, f) >= 0 && fclose(f) == 0 ? 0 : 1;
}
int PMI_KVS_Commit(const char *kvs)
{
    return 0;
}
int PMI_Barrier(void)
{
    char name[64], buf[512];
    rounds++;
    snprintf(name, sizeof(name), "barrier-%d-%d", rounds, number("FAKE_PMI_RANK"));
    fclose(fopen(path(buf, sizeof(buf), name), "w"));
    for (int i = 0; i < number("FAKE_PMI_SIZE"); i++) {
        snprintf(name, sizeof(name), "barrier-%d-%d", rounds, i);
        while (access(path(buf, sizeof(buf), name), F_OK) < 0)
            usleep(1000);
    }
    return 0;
}
int PMI_KVS_Get(const char *kvs, const char *key, char *value, int length)
{
    char name[512];
    FILE *f = fopen(path(name, sizeof(name), key), "r");
    if (!f)
        return 1;
    value[fread(value, 1, length - 1, f)] = 0;
    return fclose(f);
}
int PMI_Finalize(void)
{
    return 0;
}
