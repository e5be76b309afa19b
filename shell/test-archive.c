/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files that a jobspec carries (RFC 37). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "archive.h"
#include "base/cleanup.h"

struct place {
    char path[32];
    int fd;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int setup(void **state)
{
    static struct place p;

    (void)strcpy(p.path, "/tmp/flux-test-XXXXXX");
    assert_non_null(mkdtemp(p.path));
    p.fd = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p.fd >= 0);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    const struct place *p = *state;

    (void)close(p->fd);
    return nftw(p->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int extract(const struct place *p, const char *text, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *files = json_loads(text, 0, NULL);

    assert_non_null(files);
    return archive_extract(p->fd, files, error);
}

static void assert_file(const struct place *p, const char *name, const char *data, mode_t mode)
{
    CLEANUP(closep) int fd = openat(p->fd, name, O_RDONLY | O_CLOEXEC);
    char buf[256];
    struct stat st;
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, buf, sizeof(buf) - 1);
    assert_true(n >= 0);
    buf[n] = '\0';
    assert_string_equal(buf, data);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
}

static void files_directories_and_links_are_made(void **state)
{
    const struct place *p = *state;
    flux_error_t error = { .text = "" };
    struct stat st;

    assert_int_equal(
        extract(
            p,
            "{\"script\":{\"mode\":33216,\"size\":3,\"encoding\":\"utf-8\",\"data\":\"hi\\n\"},"
            "\"a/b/bin\":{\"mode\":33188,\"encoding\":\"base64\",\"data\":\"aGVsbG8=\",\"size\":5},"
            "\"conf.json\":{\"mode\":33152,\"data\":{\"a\":[1]}},"
            "\"hole\":{\"mode\":33152,\"size\":1000},"
            "\"dir\":{\"mode\":16877},"
            "\"link\":{\"mode\":41471,\"data\":\"a/b\"}}",
            &error),
        0);
    assert_file(p, "script", "hi\n", 0700);
    assert_file(p, "a/b/bin", "hello", 0644);
    assert_file(p, "link/bin", "hello", 0644);
    assert_file(p, "conf.json", "{\"a\":[1]}", 0600);
    assert_int_equal(fstatat(p->fd, "hole", &st, 0), 0);
    assert_int_equal(st.st_size, 1000);
    assert_int_equal(fstatat(p->fd, "dir", &st, 0), 0);
    assert_true(S_ISDIR(st.st_mode));
}

static void refused(const struct place *p, const char *text, const char *why)
{
    flux_error_t error = { .text = "" };

    assert_true(extract(p, text, &error) < 0);
    assert_non_null(strstr(error.text, why));
}

static void nothing_is_made_outside(void **state)
{
    const struct place *p = *state;

    refused(p, "{\"../x\":{\"mode\":33152}}", "below the job's directory");
    refused(p, "{\"/tmp/x\":{\"mode\":33152}}", "below the job's directory");
    refused(p, "{\"a/../../x\":{\"mode\":33152}}", "below the job's directory");
    refused(p, "{\"a//x\":{\"mode\":33152}}", "below the job's directory");
    refused(p, "{\"\":{\"mode\":33152}}", "below the job's directory");
    refused(p, "{\"out\":{\"mode\":41471,\"data\":\"/tmp\"},\"out/x\":{\"mode\":33152}}",
            "cannot make 'out/x'");
    refused(p, "{\"o\":{\"mode\":41471,\"data\":\"/tmp/y\"},\"./o\":{\"mode\":33152}}", "below");
}

static void what_makes_no_sense_is_refused(void **state)
{
    const struct place *p = *state;

    refused(p, "{\"x\":{\"mode\":\"0644\"}}", "mode");
    refused(p, "{\"x\":{\"mode\":8630}}", "only files");
    refused(p, "{\"x\":{}}", "mode");
    refused(p, "{\"x\":{\"mode\":33152,\"encoding\":\"base64\",\"data\":\"x\"}}", "base64");
    refused(p, "{\"x\":{\"mode\":33152,\"encoding\":\"blobvec\",\"data\":[]}}", "utf-8");
    refused(p, "{\"x\":{\"mode\":33152,\"encoding\":\"utf-8\",\"data\":1}}", "utf-8");
    refused(p, "{\"x\":{\"mode\":33152,\"encoding\":\"utf-8\",\"data\":\"ab\",\"size\":1}}",
            "size");
    refused(p, "{\"x\":{\"mode\":33152,\"size\":-1}}", "size");
    refused(p, "{\"x\":{\"mode\":41471}}", "link");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_directories_and_links_are_made, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_made_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
