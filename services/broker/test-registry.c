/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The routing table: names, links, users, and what a header alone decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <cmocka.h>

#include "broker/router.h"

static void a_name_belongs_to_the_first_who_has_it(void **state)
{
    struct registry reg = { 0 };
    struct target *t;

    assert_int_equal(registry_add(&reg, "kvs", TARGET_OWN, NULL, &t), 0);
    assert_int_equal(registry_add(&reg, "kvs", TARGET_REGISTERED, NULL, NULL), -EEXIST);
    assert_int_equal(registry_add(&reg, "../kvs", TARGET_REGISTERED, NULL, NULL), -EINVAL);
    assert_ptr_equal(registry_find(&reg, "kvs"), t);
    registry_remove(&reg, t);
    assert_null(registry_find(&reg, "kvs"));
    registry_deinit(&reg);
}

static void links_tell_which_client_asked_which_service(void **state)
{
    struct links links = { 0 };
    struct link_end a, b, kvs, sched;

    link_end_init(&a, 1);
    link_end_init(&b, 2);
    link_end_init(&kvs, 1);
    link_end_init(&sched, 2);
    assert_int_equal(links_touch(&links, &a, &kvs), 0);
    assert_int_equal(links_touch(&links, &a, &kvs), 0);
    assert_int_equal(links_touch(&links, &b, &sched), 0);
    assert_true(links_has(&links, &a, &kvs));
    assert_false(links_has(&links, &a, &sched));
    assert_false(links_has(&links, &b, &kvs));
    links_drop_client(&links, &a);
    assert_false(links_has(&links, &a, &kvs));
    assert_true(TAILQ_EMPTY(&kvs.list));
    links_drop_target(&links, &sched);
    assert_true(TAILQ_EMPTY(&b.list));
    assert_null(links.all);
}

static void requests_for_other_ranks_do_not_stay_here(void **state)
{
    const struct router r = { .rank = 0, .size = 1 };
    const struct router many = { .rank = 2, .size = 4 };

    assert_int_equal(route_decide(&r, FLUX_NODEID_ANY, 0), ROUTE_HERE);
    assert_int_equal(route_decide(&r, 0, 0), ROUTE_HERE);
    assert_int_equal(route_decide(&r, 1, 0), ROUTE_UNREACHABLE);
    assert_int_equal(route_decide(&many, 3, 0), ROUTE_RANK);
    assert_int_equal(route_decide(&many, 4, 0), ROUTE_UNREACHABLE);
    assert_int_equal(route_decide(&many, FLUX_NODEID_UPSTREAM, 0), ROUTE_UNREACHABLE);
}

static void an_upstream_request_passes_over_the_rank_it_came_from(void **state)
{
    const struct router many = { .rank = 2, .size = 4 };

    assert_int_equal(route_decide(&many, 2, FLUX_MSGFLAG_UPSTREAM), ROUTE_UP);
    assert_int_equal(route_decide(&many, 3, FLUX_MSGFLAG_UPSTREAM), ROUTE_HERE);
}

static void a_guest_has_a_limited_number_of_connections_and_log_lines(void **state)
{
    struct users users = { .owner = 1 };
    struct user *guest, *owner;

    assert_int_equal(users_get(&users, 2, &guest), 0);
    assert_int_equal(users_get(&users, 1, &owner), 0);
    guest->nclients = owner->nclients = GUEST_CONNECTIONS_MAX;
    assert_int_equal(users_get(&users, 2, &guest), -EMFILE);
    assert_int_equal(users_get(&users, 1, &owner), 0);

    for (int i = 0; i < GUEST_LOG_LINES; i++)
        assert_true(user_may_log(guest, 1000000000));
    assert_false(user_may_log(guest, 1000000000));
    assert_true(user_may_log(guest, 1000000000 + 6000000));
    for (int i = 0; i < GUEST_LOG_LINES * 2; i++)
        assert_true(user_may_log(owner, 1000000000));

    guest->nclients = owner->nclients = 0;
    users_release(&users, guest);
    users_release(&users, owner);
    assert_null(users.all);
}

static int listening_socket(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static void sockets_are_the_registry_and_leader_sockets_are_for_rank_0(void **state)
{
    char dir[] = "/tmp/test-dial-XXXXXX";
    char path[128];
    struct channel *ch = NULL;
    struct dial d = { .rundir = dir, .rank = 0 };
    int node, leader;

    assert_non_null(mkdtemp(dir));
    assert_int_equal(dial_connect(&d, "kvs", &ch), -ENOENT); /* no node/ at all */
    (void)snprintf(path, sizeof(path), "%s/node", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/leader", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/node/kvs", dir);
    node = listening_socket(path);
    (void)snprintf(path, sizeof(path), "%s/node/kvs-watch", dir);
    assert_int_equal(symlink("kvs", path), 0);
    (void)snprintf(path, sizeof(path), "%s/leader/sched", dir);
    leader = listening_socket(path);

    assert_int_equal(dial_connect(&d, "kvs", &ch), 0);
    ch = channel_free(ch);
    assert_int_equal(dial_connect(&d, "kvs-watch", &ch), 0);
    ch = channel_free(ch);
    assert_int_equal(dial_connect(&d, "sched", &ch), 0);
    ch = channel_free(ch);
    d.rank = 1;
    assert_int_equal(dial_connect(&d, "sched", &ch), -ENOENT);
    assert_false(dial_exists(&d, "sched"));
    assert_int_equal(dial_connect(&d, "../node/kvs", &ch), -EINVAL);
    (void)close(node);
    assert_int_equal(dial_connect(&d, "kvs", &ch), -ECONNREFUSED);
    (void)close(leader);
    (void)snprintf(path, sizeof(path), "rm -r %s", dir);
    assert_int_equal(system(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_belongs_to_the_first_who_has_it),
        cmocka_unit_test(links_tell_which_client_asked_which_service),
        cmocka_unit_test(requests_for_other_ranks_do_not_stay_here),
        cmocka_unit_test(an_upstream_request_passes_over_the_rank_it_came_from),
        cmocka_unit_test(a_guest_has_a_limited_number_of_connections_and_log_lines),
        cmocka_unit_test(sockets_are_the_registry_and_leader_sockets_are_for_rank_0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
