/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Runs a fuzz target over the files of a corpus directory, and over every prefix of each, without
 * libFuzzer: how the corpora run as ordinary tests with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    static uint8_t buf[1 << 20];
    size_t n;

    if (!f) {
        perror(path);
        return -1;
    }
    n = fread(buf, 1, sizeof(buf), f);
    fclose(f);
    /* Prefixes: every length of small inputs, 512 of large ones. Exact-size heap copies let the
     * sanitizers see one byte too many. */
    for (size_t len = 0; len <= n; len += (n > 512 ? n / 512 : 1)) {
        uint8_t *copy = malloc(len ? len : 1);

        memcpy(copy, buf, len);
        (void)LLVMFuzzerTestOneInput(copy, len);
        free(copy);
    }
    return LLVMFuzzerTestOneInput(buf, n) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct dirent *e;
    DIR *d;
    int n = 0;

    if (argc != 2 || !(d = opendir(argv[1]))) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
        return 1;
    }
    while ((e = readdir(d))) {
        char path[4096];

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
        if (run_file(path) < 0)
            return 1;
        n++;
    }
    closedir(d);
    if (n == 0) {
        fprintf(stderr, "%s: no inputs\n", argv[1]);
        return 1;
    }
    printf("%d inputs\n", n);
    return 0;
}
