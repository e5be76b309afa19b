/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lack of memory in what does no I/O: sets, lists, resources, jobspecs, logs, JSON, TOML. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <flux/hostlist.h>
#include <flux/idset.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/eventlog.h"
#include "base/iodata.h"
#include "base/jobspec.h"
#include "base/jsonx.h"
#include "base/nomem.h"
#include "base/rset.h"
#include "base/sign_none.h"
#include "base/testing.h"
#include "base/toml.h"

DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)
DEFINE_CLEANUP(struct rset *, rset_free)

/* Of a function inside. */
static int result(int rc)
{
    if (rc >= 0)
        return 0;
    errno = -rc;
    return -1;
}

static int op_idset_build(void *arg)
{
    CLEANUP(idset_destroyp) struct idset *a = idset_create(4, IDSET_FLAG_AUTOGROW);
    CLEANUP(idset_destroyp) struct idset *b = NULL;
    CLEANUP(freep) char *s = NULL;

    if (!a || idset_set(a, 3) < 0 || idset_range_set(a, 70, 5000) < 0 || !(b = idset_copy(a)) ||
        idset_clear(b, 3) < 0 || idset_range_clear(b, 100, 200) < 0 || idset_set(b, 99999) < 0 ||
        !(s = idset_encode(b, IDSET_FLAG_RANGE | IDSET_FLAG_BRACKETS)))
        return -1;
    assert_int_equal(idset_count(a), 1 + 4931);
    return 0;
}

static int op_idset_decode(void *arg)
{
    CLEANUP(idset_destroyp) struct idset *a = idset_decode("0-3,7,100-300");
    CLEANUP(idset_destroyp) struct idset *b = a ? idset_ndecode("[2-9],x", 5) : NULL;

    return a && b ? 0 : -1;
}

static int op_idset_algebra(void *arg)
{
    CLEANUP(idset_destroyp) struct idset *a = idset_decode("0-3,7,100-300");
    CLEANUP(idset_destroyp) struct idset *b = a ? idset_decode("2-8,9000") : NULL;
    CLEANUP(idset_destroyp) struct idset *u = b ? idset_union(a, b) : NULL;
    CLEANUP(idset_destroyp) struct idset *d = u ? idset_difference(a, b) : NULL;
    CLEANUP(idset_destroyp) struct idset *i = d ? idset_intersect(a, b) : NULL;

    if (!i)
        return -1;
    assert_int_equal(idset_count(i), 3);
    return idset_add(a, b) < 0 || idset_subtract(a, b) < 0 ? -1 : 0;
}

static int op_hostlist(void *arg)
{
    CLEANUP(hostlist_destroyp) struct hostlist *a = hostlist_decode("a[0-40],b,c[08-12]");
    CLEANUP(hostlist_destroyp) struct hostlist *b = a ? hostlist_copy(a) : NULL;
    CLEANUP(hostlist_destroyp) struct hostlist *empty = b ? hostlist_create() : NULL;
    CLEANUP(freep) char *s = NULL;

    if (!empty || hostlist_append(b, "a[30-60]") < 0)
        return -1;
    hostlist_uniq(b);
    return (s = hostlist_encode(b)) ? 0 : -1;
}

static const char r_text[] =
    "{\"version\":1,\"execution\":{\"R_lite\":[{\"rank\":\"0-1\",\"children\":{\"core\":\"0-3\","
    "\"gpu\":\"0\"}},{\"rank\":\"2\",\"children\":{\"core\":\"0\"}}],\"starttime\":1,"
    "\"expiration\":0,\"nodelist\":[\"n[0-2]\"]}}";

static int op_rset_decode(void *arg)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(freep) char *s = NULL;
    CLEANUP(freep) char *text = NULL;
    int rc = rset_decode_string(r_text, &r, NULL);

    if (rc < 0)
        return result(rc);
    return (s = rset_encode_string(r)) && (text = rset_describe(r)) ? 0 : -1;
}

static int op_rset_algebra(void *arg)
{
    CLEANUP(rset_freep) struct rset *a = NULL;
    CLEANUP(rset_freep) struct rset *b = NULL;
    CLEANUP(idset_destroyp) struct idset *cores = idset_decode("0-7");
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    CLEANUP(freep) char *hosts = NULL;
    int rc;

    if (!cores)
        return -1;
    if ((rc = rset_decode_string(r_text, &a, NULL)) < 0 || (rc = rset_copy(a, &b)) < 0 ||
        (rc = rset_add(b, 5, "n5", cores, NULL)) < 0 || (rc = rset_union(a, b)) < 0 ||
        (rc = rset_subtract(b, a)) < 0)
        return result(rc);
    return (ranks = rset_ranks(a)) && (hosts = rset_nodelist(a)) ? 0 : -1;
}

static int op_jobspec_build(void *arg)
{
    char *argv[] = { "hostname", "-f", NULL };
    CLEANUP(json_decrefp) json_t *env = json_pack("{s:s}", "PATH", "/bin");
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct jobspec js = { 0 };
    int rc;

    if (!env) {
        errno = ENOMEM;
        return -1;
    }
    o = jobspec_build(&(struct jobspec_request){ .argc = 2,
                                                 .argv = argv,
                                                 .ntasks = 4,
                                                 .nnodes = 2,
                                                 .gpus_per_task = 1,
                                                 .duration = 60.,
                                                 .cwd = "/tmp",
                                                 .environment = env },
                      NULL);
    if (!o)
        return -1;
    if ((rc = jobspec_set(o, "attributes.system.shell.options.x", json_integer(1))) < 0 ||
        (rc = jobspec_parse(o, &js, NULL)) < 0)
        return result(rc);
    assert_int_equal(js.ntasks, 4);
    jobspec_deinit(&js);
    return 0;
}

static int op_eventlog(void *arg)
{
    CLEANUP(json_decrefp) json_t *e = eventlog_entry_pack(1.5, "start", "{s:i}", "n", 1);
    CLEANUP(freep) char *line = e ? eventlog_entry_encode(e) : NULL;
    CLEANUP(json_decrefp) json_t *all = NULL;
    CLEANUP(json_decrefp) json_t *one = NULL;

    if (!line) {
        errno = ENOMEM; /* of what goes through jansson, NULL is the whole answer */
        return -1;
    }
    return (one = eventlog_entry_decode(line, strlen(line), NULL)) &&
                   (all = eventlog_decode(line, strlen(line), NULL))
               ? 0
               : -1;
}

static int op_json(void *arg)
{
    const char *text = "{\"a\":[1,2.5,\"x\",null,true,{\"b\":{}}]}";
    CLEANUP(json_decrefp) json_t *o = jsonx_decode_object(text, strlen(text), NULL);
    CLEANUP(freep) char *s = NULL;
    size_t size;

    if (!o)
        return -1;
    if (!(s = jsonx_encode(o, &size))) {
        errno = ENOMEM;
        return -1;
    }
    return 0;
}

static int op_toml(void *arg)
{
    const char *text = "a = 1\n[t]\nb = [1, 2.5, \"x\", true]\nd = 2020-01-01\n[[t.u]]\nc = 'y'\n";
    CLEANUP(json_decrefp) json_t *o = toml_parse_string(text, strlen(text), NULL);

    return o ? 0 : -1;
}

static int op_sign(void *arg)
{
    CLEANUP(freep) char *J = sign_none_wrap("{}", 2, 1000);
    CLEANUP(freep) char *payload = NULL;
    uint32_t userid;
    size_t size;

    if (!J) {
        errno = ENOMEM;
        return -1;
    }
    return result(sign_none_unwrap(J, strlen(J), &payload, &size, &userid, NULL));
}

static int op_iodata(void *arg)
{
    CLEANUP(json_decrefp) json_t *text = iodata_encode("stdout", "0", "hello", 5, false);
    CLEANUP(json_decrefp)
    json_t *binary = text ? iodata_encode("stdout", "0", "\0\xff", 2, true) : NULL;
    struct iodata io = { 0 }, io2 = { 0 };
    int rc;

    if (!binary) {
        errno = ENOMEM;
        return -1;
    }
    rc = iodata_decode(text, &io);
    if (rc == 0)
        rc = iodata_decode(binary, &io2);
    iodata_deinit(&io);
    iodata_deinit(&io2);
    return result(rc);
}

#define OP_TEST(name)                              \
    static void every_failure_in_##name(void **st) \
    {                                              \
        nomem_each(op_##name, NULL, NULL);         \
    }
OP_TEST(idset_build)
OP_TEST(idset_decode)
OP_TEST(idset_algebra)
OP_TEST(hostlist)
OP_TEST(rset_decode)
OP_TEST(rset_algebra)
OP_TEST(jobspec_build)
OP_TEST(eventlog)
OP_TEST(json)
OP_TEST(toml)
OP_TEST(sign)
OP_TEST(iodata)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_in_idset_build),
        cmocka_unit_test(every_failure_in_idset_decode),
        cmocka_unit_test(every_failure_in_idset_algebra),
        cmocka_unit_test(every_failure_in_hostlist),
        cmocka_unit_test(every_failure_in_rset_decode),
        cmocka_unit_test(every_failure_in_rset_algebra),
        cmocka_unit_test(every_failure_in_jobspec_build),
        cmocka_unit_test(every_failure_in_eventlog),
        cmocka_unit_test(every_failure_in_json),
        cmocka_unit_test(every_failure_in_toml),
        cmocka_unit_test(every_failure_in_sign),
        cmocka_unit_test(every_failure_in_iodata),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
