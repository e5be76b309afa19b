/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records between shells, each an object with one key that says what it is.
 *
 * To the leader:   {"log": NAME, "text": LINES}     events for the job's output or input eventlog
 *                  {"write": STREAM, "data": ...}   for the leader's output file; data as in RFC 24
 *                  {"exit": [RANK, LOCALID, PID, WAITSTATUS]}
 *                  {"barrier": NUMBER, "object"?}   it is there
 *                  {"raise": NOTE}                  end the job
 *                  {"finish": EXITCODE}             its last word
 * From the leader: {"barrier": NUMBER, "rc", "object"?}
 *                  {"stdin": IO}                    RFC 24 data for its tasks
 *                  {"signal": SIGNUM}
 *
 * Credit: a shell may have a share of CREDIT_ALL bytes unacknowledged, so that the leader holds no
 * more than that, however many shells there are and whatever their tasks print. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "barrier.h"
#include "base/errorx.h"
#include "exits.h"
#include "follower.h"
#include "input.h"
#include "leader.h"
#include "output.h"
#include "peers.h"

#define CREDIT_ALL (16 * 1024 * 1024)
#define CREDIT_MIN (32 * 1024)
#define CREDIT_MAX (1024 * 1024)
#define OVERHEAD   32 /* bytes of a record, about */

struct peers {
    struct shell *shell;
    struct leader *leader;     /* of shell rank 0 */
    struct follower *follower; /* of the others */
    struct gathering gatherings[BARRIER_COUNT];
};

static size_t credit(int nshells)
{
    const size_t share = CREDIT_ALL / (size_t)nshells;

    return share < CREDIT_MIN ? CREDIT_MIN : share > CREDIT_MAX ? CREDIT_MAX : share;
}

bool peers_is_leader(const struct shell *shell)
{
    return shell->info.shell_rank == 0;
}

/* --- telling; they steal the record */

static void tell(struct shell *shell, json_t *record, size_t size)
{
    struct follower *f = shell->peers->follower;

    if (!record || follower_send(f, record, size + OVERHEAD) < 0)
        shell_fatal(shell, 1, "out of memory");
    else if (follower_is_full(f))
        output_pause(shell->output);
    json_decref(record);
}

static void command(struct shell *shell, const struct idset *shells, json_t *record, size_t size)
{
    if (!record || leader_send(shell->peers->leader, shells, record, size + OVERHEAD) < 0)
        shell_fatal(shell, 1, "out of memory");
    json_decref(record);
}

/* --- barriers */

static void complete(struct peers *peers, enum barrier which)
{
    struct gathering *g = &peers->gatherings[which];
    struct shell *shell = peers->shell;
    json_t *object = json_incref(g->object);
    const size_t size = g->bytes;
    const int rc = g->rc;

    gathering_reset(g);
    if (which != BARRIER_START)
        command(shell, NULL,
                json_pack("{s:i s:i s:O*}", "barrier", (int)which, "rc", rc, "object",
                          rc == 0 ? object : NULL),
                size);
    shell_barrier_done(shell, which, rc, object);
    json_decref(object);
}

void peers_barrier(struct shell *shell, enum barrier which, json_t *object)
{
    struct peers *peers = shell->peers;

    if (!peers)
        shell_barrier_done(shell, which, 0, object);
    else if (peers->follower)
        tell(shell, json_pack("{s:i s:O*}", "barrier", (int)which, "object", object),
             object ? json_dumpb(object, NULL, 0, 0) : 0);
    else if (gathering_enter(&peers->gatherings[which], object))
        complete(peers, which);
}

/* --- at the leader */

static int take_log(struct shell *shell, const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, "text"));

    if (!text || !text[0] || text[strlen(text) - 1] != '\n')
        return -EPROTO;
    if (strcmp(name, "output") == 0)
        return logs_append(shell->logs, LOGS_OUTPUT, text, strlen(text));
    if (strcmp(name, "input") == 0)
        return input_record_text(shell->input, text);
    return -EPROTO;
}

static int take_write(struct shell *shell, const json_t *record)
{
    struct iodata io;
    int rc = iodata_decode(json_object_get(record, "write"), &io);

    if (rc < 0)
        return rc;
    rc = output_write_stream(shell->output, io.stream, io.data, io.size);
    iodata_deinit(&io);
    return rc;
}

static int take_exit(struct shell *shell, const json_t *list)
{
    struct task_exit x;

    if (json_unpack((json_t *)list, "[i,i,i,i]", &x.rank, &x.index, &x.pid, &x.wait_status) < 0)
        return -EPROTO;
    shell_task_exited(shell, &x);
    return 0;
}

static int take_barrier(struct peers *peers, const json_t *record, int which)
{
    if (which < 0 || which >= BARRIER_COUNT)
        return -EPROTO;
    if (gathering_enter(&peers->gatherings[which], json_object_get(record, "object")))
        complete(peers, which);
    return 0;
}

static int on_follower_record(void *arg, int shell_rank, const json_t *record)
{
    struct peers *peers = arg;
    struct shell *shell = peers->shell;
    const json_t *o;

    if ((o = json_object_get(record, "log")) && json_is_string(o))
        return take_log(shell, record, json_string_value(o));
    if (json_object_get(record, "write"))
        return take_write(shell, record);
    if ((o = json_object_get(record, "exit")))
        return take_exit(shell, o);
    if ((o = json_object_get(record, "barrier")) && json_is_integer(o))
        return take_barrier(peers, record, (int)json_integer_value(o));
    if ((o = json_object_get(record, "raise")) && json_is_string(o)) {
        shell_raise(shell, json_string_value(o));
        return 0;
    }
    if ((o = json_object_get(record, "finish")) && json_is_integer(o)) {
        shell_note_exit_code(shell, (int)json_integer_value(o));
        leader_finished(peers->leader, shell_rank);
        return 0;
    }
    return -EPROTO;
}

static bool logs_have_room(void *arg)
{
    struct peers *peers = arg;

    return !logs_is_full(peers->shell->logs);
}

static void on_leader_room(void *arg)
{
    struct peers *peers = arg;

    input_check_room(peers->shell->input);
}

static void on_shell_lost(void *arg, int shell_rank)
{
    struct shell *shell = ((struct peers *)arg)->shell;
    const struct rset_rank *node = rset_nth(shell->info.rset, (size_t)shell_rank);
    char text[256];

    (void)snprintf(text, sizeof(text), "the shell on %s (rank %u) is lost",
                   node->hostname ? node->hostname : "?", node->rank);
    if (!shell->told_to_end) {
        shell_fatal(shell, 1, "%s", text);
        return;
    }
    shell_log(shell, LOG_ERR, "%s", text); /* who ends the job has said why */
    if (shell->exit_code == 0)
        shell->exit_code = 1;
}

static uint32_t nodeid_of(void *arg, int shell_rank)
{
    const struct peers *peers = arg;

    return rset_nth(peers->shell->info.rset, (size_t)shell_rank)->rank;
}

static void on_settled(void *arg)
{
    struct peers *peers = arg;

    shell_check_finished(peers->shell);
}

bool peers_have_room(const struct shell *shell)
{
    return !shell->peers || !shell->peers->leader || !leader_is_full(shell->peers->leader);
}

/* The shells that have one of these tasks; NULL: out of memory. */
static struct idset *shells_of(const struct shell_info *info, const struct idset *ranks)
{
    struct idset *shells = idset_create((size_t)info->nshells, 0);
    unsigned int rank;

    for (rank = idset_first(ranks); shells && rank != IDSET_INVALID_ID;
         rank = idset_next(ranks, rank)) {
        const int node = rank < INT32_MAX ? taskmap_node(info->taskmap, (int)rank) : -1;

        if (node >= 0 && idset_set(shells, (unsigned int)node) < 0) {
            idset_destroy(shells);
            return NULL;
        }
    }
    return shells;
}

int peers_send_input(struct shell *shell, const struct iodata *io, const struct idset *ranks)
{
    struct idset *shells = NULL;
    json_t *o;

    if (!shell->peers || !shell->peers->leader)
        return 0;
    if (ranks && !(shells = shells_of(&shell->info, ranks)))
        return -ENOMEM;
    o = iodata_encode("stdin", io->rank, io->data, io->size, io->eof);
    if (o)
        command(shell, shells, json_pack("{s:o}", "stdin", o), io->size);
    idset_destroy(shells);
    return o ? 0 : -ENOMEM;
}

void peers_signal(struct shell *shell, int signum)
{
    if (shell->peers && shell->peers->leader)
        command(shell, NULL, json_pack("{s:i}", "signal", signum), 0);
}

/* --- at the others */

void peers_tell_write(struct shell *shell, int which, const char *data, size_t size)
{
    json_t *o = iodata_encode(which == 0 ? "stdout" : "stderr", "", data, size, false);

    tell(shell, o ? json_pack("{s:o}", "write", o) : NULL, size);
}

void peers_tell_exit(const struct task *task)
{
    tell(task->shell,
         json_pack("{s:[i,i,i,i]}", "exit", task->rank, task->index, (int)task->pid,
                   task->wait_status),
         0);
}

bool peers_tell_raise(struct shell *shell, const char *note)
{
    if (!shell->peers || !shell->peers->follower)
        return false;
    tell(shell, json_pack("{s:s}", "raise", note), strlen(note));
    return true;
}

static int relay_append(void *arg, enum log_name name, const char *text, size_t len)
{
    struct peers *peers = arg;

    if (name != LOGS_EXEC) /* the leader's alone */
        tell(peers->shell,
             json_pack("{s:s s:s%}", "log", name == LOGS_INPUT ? "input" : "output", "text", text,
                       len),
             len);
    return 0;
}

static bool relay_is_full(void *arg)
{
    struct peers *peers = arg;

    return follower_is_full(peers->follower);
}

static void relay_finish(void *arg, void (*cb)(void *arg), void *cb_arg)
{
    struct peers *peers = arg;

    tell(peers->shell, json_pack("{s:i}", "finish", peers->shell->exit_code), 0);
    follower_finish(peers->follower, cb, cb_arg);
}

static bool deliver(struct shell *shell, const json_t *o)
{
    struct iodata io;

    if (iodata_decode(o, &io) < 0)
        return true;
    (void)input_deliver(shell->input, &io);
    iodata_deinit(&io);
    return input_has_room(shell->input);
}

static bool on_leader_record(void *arg, const json_t *record)
{
    struct peers *peers = arg;
    struct shell *shell = peers->shell;
    int which, rc = 0;
    json_t *o;

    if (json_unpack((json_t *)record, "{s:i s:i}", "barrier", &which, "rc", &rc) == 0)
        shell_barrier_done(shell, (enum barrier)which, rc, json_object_get(record, "object"));
    else if ((o = json_object_get(record, "stdin")))
        return deliver(shell, o);
    else if ((o = json_object_get(record, "signal")))
        tasks_signal(shell, (int)json_integer_value(o));
    return true;
}

static void on_follower_room(void *arg)
{
    struct peers *peers = arg;

    output_resume(peers->shell->output);
}

static void on_leader_lost(void *arg, const char *why)
{
    struct peers *peers = arg;

    shell_leader_lost(peers->shell, why);
}

/* --- both */

void peers_resume(struct shell *shell)
{
    struct peers *peers = shell->peers;

    if (peers && peers->leader)
        leader_resume(peers->leader);
    else if (peers)
        follower_resume(peers->follower);
}

bool peers_settled(struct shell *shell)
{
    return !shell->peers || !shell->peers->leader || leader_settled(shell->peers->leader);
}

void peers_hurry(struct shell *shell)
{
    if (shell->peers && shell->peers->leader)
        leader_hurry(shell->peers->leader);
    else if (shell->peers)
        follower_hurry(shell->peers->follower);
}

static int lead(struct shell *shell, struct peers *peers, const char *service)
{
    const struct shell_info *info = &shell->info;
    const struct leader_options o = {
        .service = service,
        .nshells = info->nshells,
        .userid = info->userid,
        .credit = credit(info->nshells),
        .events = { .on_record = on_follower_record,
                    .has_room = logs_have_room,
                    .on_room = on_leader_room,
                    .on_lost = on_shell_lost,
                    .nodeid = nodeid_of,
                    .on_settled = on_settled,
                    .arg = peers },
    };

    for (int i = 0; i < info->nshells; i++) {
        peers->gatherings[BARRIER_INIT].expected++;
        peers->gatherings[BARRIER_START].expected++;
        peers->gatherings[BARRIER_PMI].expected += taskmap_count(info->taskmap, i) > 0;
    }
    return leader_new(shell->h, &o, &peers->leader);
}

static int follow(struct shell *shell, struct peers *peers, const char *service)
{
    const struct shell_info *info = &shell->info;
    const struct follower_options o = {
        .service = service,
        .nodeid = rset_nth(info->rset, 0)->rank,
        .shell_rank = info->shell_rank,
        .credit = credit(info->nshells),
        .events = { .on_record = on_leader_record,
                    .on_room = on_follower_room,
                    .on_lost = on_leader_lost,
                    .arg = peers },
    };
    const struct logs_relay relay = {
        .append = relay_append, .is_full = relay_is_full, .finish = relay_finish, .arg = peers
    };
    const int rc = logs_new_relay(&relay, &shell->logs);

    return rc < 0 ? rc : follower_new(shell->h, &o, &peers->follower);
}

int peers_new(struct shell *shell, flux_error_t *error)
{
    char service[48];
    struct peers *peers;
    int rc;

    if (shell->info.nshells == 1)
        return 0;
    peers = shell->peers = calloc(1, sizeof(*peers));
    if (!peers)
        return errorx_fail(error, ENOMEM, "out of memory");
    peers->shell = shell;
    (void)snprintf(service, sizeof(service), "%u-shell-%" PRIu64, shell->info.userid,
                   shell->info.id);
    rc = peers_is_leader(shell) ? lead(shell, peers, service) : follow(shell, peers, service);
    return rc < 0 ? errorx_fail(error, -rc, "cannot speak with the job's other shells: %s",
                                strerror(-rc))
                  : 0;
}

struct peers *peers_free(struct peers *peers)
{
    if (peers) {
        leader_free(peers->leader);
        follower_free(peers->follower);
        for (int i = 0; i < BARRIER_COUNT; i++)
            gathering_reset(&peers->gatherings[i]);
        free(peers);
    }
    return NULL;
}
