/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-exec: runs processes on this node (service rexec) and, on the leader, jobs (service
 * job-exec).
 *
 *   jobs             manager hello, start kill (requests) job begin answers alarm commitq jobkvs
 *                    simulate where
 *   after a restart  recall adopt away orphans leftovers
 *   on each node     part (this node's side) parts (rank 0's), shellinfo
 *   shells           launch record, and by what: launch_spawn forks launch_unit launch_imp; proc
 *                    tmpdir
 *   processes        rexec subprocess (`flux exec`)
 */
#include "manager.h"

static const struct rpc_method methods[] = {
    { .topic = "job-exec.start",
      .roles = ROLE_OWNER,
      .in = "id?:I userid?:I R?:* reattach?:b started?:b cleanup?:b guest?:b jobspec?:o jobs?:a "
            "forget?:a",
      .flags = RPC_METHOD_SESSION,
      .fn = rpc_start },
    { .topic = "job-exec.forget",
      .roles = ROLE_OWNER,
      .in = "ids:a",
      .flags = RPC_METHOD_NORESPONSE | RPC_METHOD_SESSION,
      .fn = rpc_forget },
    { .topic = "job-exec.kill",
      .roles = ROLE_OWNER,
      .in = "id:I signum:i",
      .flags = RPC_METHOD_NORESPONSE | RPC_METHOD_SESSION,
      .fn = rpc_job_kill },
    { .topic = "job-exec.cancel",
      .roles = ROLE_OWNER,
      .in = "id:I",
      .flags = RPC_METHOD_NORESPONSE | RPC_METHOD_SESSION,
      .fn = rpc_job_cancel },
    { .topic = "rexec.shell-info",
      .roles = ROLE_USER,
      .in = "id:I pid:i",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_shell_info },
    { .topic = "rexec.job-start",
      .roles = ROLE_OWNER,
      .in = "id:I userid:I R:s jobspec:s reattach:b cleanup:b",
      .flags = RPC_METHOD_STREAMING,
      .fn = rpc_part_start },
    { .topic = "rexec.job-kill",
      .roles = ROLE_OWNER,
      .in = "id:I signum:i",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_part_kill },
    { .topic = "rexec.job-forget",
      .roles = ROLE_OWNER,
      .in = "id:I",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_part_forget },
    { .topic = "rexec.job-over", .roles = ROLE_OWNER, .in = "rank:i ids:a", .fn = rpc_part_over },
    { .topic = "rexec.exec",
      .roles = ROLE_OWNER,
      .in = "cmd:o flags:i local_flags?:i window?:I",
      .fn = rpc_rexec_exec },
    { .topic = "rexec.write",
      .roles = ROLE_OWNER,
      .in = "matchtag:I io:o",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_rexec_write },
    { .topic = "rexec.read",
      .roles = ROLE_OWNER,
      .in = "matchtag:I bytes:I",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_rexec_read },
    { .topic = "rexec.kill",
      .roles = ROLE_OWNER,
      .in = "pid:i signum:i label?:s",
      .fn = rpc_rexec_kill },
    { .topic = "rexec.wait", .roles = ROLE_OWNER, .in = "pid:i label?:s", .fn = rpc_rexec_wait },
    { .topic = "rexec.list",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_rexec_list },
};

static const struct service_desc desc = {
    .name = "exec",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = manager_on_stats,
    .on_config = manager_on_config,
};

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (service_new(&desc, argc, argv, &svc) < 0 || manager_new(svc, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
