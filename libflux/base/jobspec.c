/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Checking jobspecs (RFC 25).
 *
 * Strict: keys that version 1 does not know are refused, except below attributes.system and
 * attributes.user, which are open. Every refusal names the key by its path. The four resource
 * graphs of the RFC are accepted and nothing else. Numbers are bounded so that products of counts
 * fit an int. */
#include "base/jobspec.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"

#define PATH_SIZE        96
#define PER_RESOURCE_MAX 4096

struct checker {
    struct jobspec *js;
    flux_error_t *error;
    const char *slot_label;
    int slot_count;
};

#define fail(ck, ...) errorx_fail((ck)->error, EINVAL, "jobspec" __VA_ARGS__)

/* Refuse keys of o that are not in the list "a b c ". path: ".resources[0]" or "". */
static int only_keys(struct checker *ck, const json_t *o, const char *path, const char *allowed)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)o, key, value) {
        size_t len = strlen(key);
        const char *p = allowed;

        if (len == 0 || strchr(key, ' '))
            return fail(ck, "%s: unknown key \"%.40s\"", path, key);
        while ((p = strstr(p, key)) && !((p == allowed || p[-1] == ' ') && p[len] == ' '))
            p += len;
        if (!p)
            return fail(ck, "%s.%.40s: unknown key", path, key);
    }
    return 0;
}

static int positive(struct checker *ck, const json_t *v, const char *path, int *ret)
{
    json_int_t i = json_integer_value(v);

    if (!v)
        return fail(ck, "%s: missing", path);
    if (json_is_integer(v) && (i < 1 || i > INT_MAX))
        return fail(ck, "%s: must be a positive integer, not %" JSON_INTEGER_FORMAT, path, i);
    if (!json_is_integer(v))
        return fail(ck, "%s: must be a positive integer", path);
    *ret = (int)i;
    return 0;
}

/* What all vertices share: an object of this type with a count. */
static int check_vertex(struct checker *ck, const json_t *v, const char *path, const char *allowed,
                        int *ret_count)
{
    char sub[PATH_SIZE];
    json_t *unit = json_object_get(v, "unit");
    int rc;

    if ((rc = only_keys(ck, v, path, allowed)) < 0)
        return rc;
    if (unit && !json_is_string(unit))
        return fail(ck, "%s.unit: must be a string", path);
    snprintf(sub, sizeof(sub), "%s.count", path);
    return positive(ck, json_object_get(v, "count"), sub, ret_count);
}

static const char *vertex_type(const json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));

    return type ? type : "";
}

static int check_slot_content(struct checker *ck, const json_t *with, const char *path)
{
    size_t i;
    json_t *v;
    int rc;

    if (!json_is_array(with) || json_array_size(with) < 1 || json_array_size(with) > 2)
        return fail(ck, "%s: must be a list of core, or core and gpu", path);
    json_array_foreach ((json_t *)with, i, v) {
        char sub[PATH_SIZE + 16];
        const char *type = vertex_type(v);
        int *count;

        snprintf(sub, sizeof(sub), "%s[%d]", path, (int)i);
        if (strcmp(type, "core") == 0)
            count = &ck->js->cores_per_slot;
        else if (strcmp(type, "gpu") == 0)
            count = &ck->js->gpus_per_slot;
        else
            return fail(ck, "%s.type: must be core or gpu", sub);
        if (*count)
            return fail(ck, "%s.type: %s is given twice", sub, type);
        if ((rc = check_vertex(ck, v, sub, "type count unit ", count)) < 0)
            return rc;
    }
    if (!ck->js->cores_per_slot)
        return fail(ck, "%s: must contain a core", path);
    return 0;
}

static int check_slot(struct checker *ck, const json_t *slot, const char *path)
{
    const json_t *exclusive = json_object_get(slot, "exclusive");
    char sub[PATH_SIZE];
    int rc;

    if ((rc = check_vertex(ck, slot, path, "type count unit with label exclusive ",
                           &ck->slot_count)) < 0)
        return rc;
    if (exclusive && !json_is_boolean(exclusive))
        return fail(ck, "%s.exclusive: must be true or false", path);
    ck->slot_label = json_string_value(json_object_get(slot, "label"));
    if (!ck->slot_label)
        return fail(ck, "%s.label: must be a string", path);
    snprintf(sub, sizeof(sub), "%s.with", path);
    return check_slot_content(ck, json_object_get(slot, "with"), sub);
}

static int check_node(struct checker *ck, const json_t *node, const char *path)
{
    const json_t *with = json_object_get(node, "with");
    const json_t *exclusive = json_object_get(node, "exclusive");
    const json_t *slot = json_array_get(with, 0);
    char sub[PATH_SIZE];
    int rc;

    if ((rc = check_vertex(ck, node, path, "type count unit with label exclusive ",
                           &ck->js->nnodes)) < 0)
        return rc;
    if (exclusive && !json_is_boolean(exclusive))
        return fail(ck, "%s.exclusive: must be true or false", path);
    ck->js->exclusive = json_is_true(exclusive);
    if (json_array_size(with) != 1 || strcmp(vertex_type(slot), "slot") != 0)
        return fail(ck, "%s.with: must be a list of one slot", path);
    snprintf(sub, sizeof(sub), "%s.with[0]", path);
    return check_slot(ck, slot, sub);
}

static int check_resources(struct checker *ck, const json_t *resources)
{
    const json_t *v = json_array_get(resources, 0);
    int rc;

    if (json_array_size(resources) != 1)
        return fail(ck, ".resources: must be a list of one node or slot");
    if (strcmp(vertex_type(v), "node") == 0)
        rc = check_node(ck, v, ".resources[0]");
    else if (strcmp(vertex_type(v), "slot") == 0)
        rc = check_slot(ck, v, ".resources[0]");
    else
        return fail(ck, ".resources[0].type: must be node or slot");
    if (rc < 0)
        return rc;
    if (__builtin_mul_overflow(ck->slot_count, ck->js->nnodes ? ck->js->nnodes : 1,
                               &ck->js->nslots) ||
        ck->js->nslots > INT_MAX / 2)
        return fail(ck, ".resources[0].count: asks for more slots than there can be");
    return 0;
}

static int check_command(struct checker *ck, json_t *command)
{
    size_t i;
    json_t *arg;

    if (!json_is_array(command) || json_array_size(command) == 0)
        return fail(ck, ".tasks[0].command: must be a list of at least one string");
    json_array_foreach (command, i, arg) {
        if (!json_is_string(arg))
            return fail(ck, ".tasks[0].command[%zu]: must be a string", i);
    }
    if (json_string_length(json_array_get(command, 0)) == 0)
        return fail(ck, ".tasks[0].command[0]: must not be empty");
    ck->js->command = command;
    return 0;
}

static int check_task_count(struct checker *ck, const json_t *count)
{
    json_t *per_slot = json_object_get(count, "per_slot");
    json_t *total = json_object_get(count, "total");
    int n, rc;

    if (!json_is_object(count) || json_object_size(count) != 1 || (!per_slot && !total))
        return fail(ck, ".tasks[0].count: must contain per_slot or total, and nothing else");
    ck->js->ntasks = ck->js->nslots;
    if (per_slot) {
        if ((rc = positive(ck, per_slot, ".tasks[0].count.per_slot", &n)) < 0)
            return rc;
        return n == 1 ? 0 : fail(ck, ".tasks[0].count.per_slot: must be 1, not %d", n);
    }
    if ((rc = positive(ck, total, ".tasks[0].count.total", &n)) < 0)
        return rc;
    if (n > ck->js->nslots)
        return fail(ck, ".tasks[0].count.total: %d tasks do not fit %d slots", n, ck->js->nslots);
    if (n < ck->js->nnodes)
        return fail(ck, ".tasks[0].count.total: %d tasks are too few for %d nodes", n,
                    ck->js->nnodes);
    ck->js->ntasks = n;
    return 0;
}

static int check_tasks(struct checker *ck, const json_t *tasks)
{
    const json_t *task = json_array_get(tasks, 0);
    const char *slot = json_string_value(json_object_get(task, "slot"));
    int rc;

    if (json_array_size(tasks) != 1 || !json_is_object(task))
        return fail(ck, ".tasks: must be a list of one task");
    if ((rc = only_keys(ck, task, ".tasks[0]", "command slot count ")) < 0 ||
        (rc = check_command(ck, json_object_get(task, "command"))) < 0)
        return rc;
    if (!slot)
        return fail(ck, ".tasks[0].slot: must be a string");
    if (strcmp(slot, ck->slot_label) != 0)
        return fail(ck, ".tasks[0].slot: no slot is labelled '%.40s'", slot);
    return check_task_count(ck, json_object_get(task, "count"));
}

static int check_environment(struct checker *ck, json_t *environment)
{
    const char *name;
    json_t *value;

    if (!environment)
        return 0;
    if (!json_is_object(environment))
        return fail(ck, ".attributes.system.environment: must be an object");
    json_object_foreach (environment, name, value) {
        if (!name[0] || strchr(name, '='))
            return fail(ck, ".attributes.system.environment: '%.40s' cannot name a variable", name);
        if (!json_is_string(value) && !json_is_null(value))
            return fail(ck, ".attributes.system.environment.%.40s: must be a string or null", name);
    }
    ck->js->environment = environment;
    return 0;
}

/* A string below an object that must be one if it is there: o.key. */
static int optional_string(struct checker *ck, const json_t *o, const char *path, const char *key,
                           const char **ret)
{
    json_t *v = json_object_get(o, key);

    if (v && !json_is_string(v))
        return fail(ck, "%s.%s: must be a string", path, key);
    *ret = json_string_value(v);
    return 0;
}

/* attributes.system.KEY and its child, both objects if they are there. */
static int optional_object(struct checker *ck, const json_t *o, const char *path, const char *key,
                           json_t **ret)
{
    json_t *v = json_object_get(o, key);

    if (v && !json_is_object(v))
        return fail(ck, "%s.%s: must be an object", path, key);
    *ret = v;
    return 0;
}

/* The type of per-resource is "node" or "core", its count 1 unless it says more. */
static int check_per_resource(struct checker *ck, const json_t *o)
{
    static const char path[] = ".attributes.system.shell.options.per-resource";
    const char *type = json_string_value(json_object_get(o, "type"));
    json_t *count = json_object_get(o, "count");
    int n = 1, rc = 0;

    if (!o)
        return 0;
    if (!type || (strcmp(type, "node") != 0 && strcmp(type, "core") != 0))
        return fail(ck, "%s.type: must be node or core", path);
    if (count)
        rc = positive(ck, count, ".attributes.system.shell.options.per-resource.count", &n);
    if (rc == 0 && n > PER_RESOURCE_MAX)
        return fail(ck, "%s.count: must be at most %d", path, PER_RESOURCE_MAX);
    if (strcmp(type, "node") == 0)
        ck->js->per_node = n;
    else
        ck->js->per_core = n;
    return rc;
}

static int check_system(struct checker *ck, const json_t *system)
{
    static const char path[] = ".attributes.system";
    json_t *duration = json_object_get(system, "duration");
    json_t *job = NULL, *shell = NULL;
    int rc;

    if (!json_is_object(system))
        return fail(ck, "%s: must be an object", path);
    if (!json_is_number(duration) || !(json_number_value(duration) >= 0))
        return fail(ck, "%s.duration: must be a number of seconds, 0 for no limit", path);
    ck->js->duration = json_number_value(duration);
    if ((rc = optional_string(ck, system, path, "cwd", &ck->js->cwd)) < 0 ||
        (rc = optional_string(ck, system, path, "queue", &ck->js->queue)) < 0 ||
        (rc = check_environment(ck, json_object_get(system, "environment"))) < 0 ||
        (rc = optional_object(ck, system, path, "job", &job)) < 0 ||
        (rc = optional_string(ck, job, ".attributes.system.job", "name", &ck->js->name)) < 0 ||
        (rc = optional_object(ck, system, path, "files", &ck->js->files)) < 0 ||
        (rc = optional_object(ck, system, path, "shell", &shell)) < 0 ||
        (rc = optional_object(ck, shell, ".attributes.system.shell", "options",
                              &ck->js->shell_options)) < 0)
        return rc;
    return check_per_resource(ck, json_object_get(ck->js->shell_options, "per-resource"));
}

static int check_attributes(struct checker *ck, const json_t *attributes)
{
    json_t *user;
    int rc;

    if (!json_is_object(attributes))
        return fail(ck, ".attributes: must be an object");
    if ((rc = only_keys(ck, attributes, ".attributes", "system user ")) < 0 ||
        (rc = optional_object(ck, attributes, ".attributes", "user", &user)) < 0)
        return rc;
    return check_system(ck, json_object_get(attributes, "system"));
}

static int check_version(struct checker *ck, const json_t *version)
{
    if (!version)
        return fail(ck, ".version: missing");
    if (!json_is_integer(version) || json_integer_value(version) != 1)
        return fail(ck, ".version: must be 1");
    return 0;
}

int jobspec_parse(json_t *o, struct jobspec *ret, flux_error_t *error)
{
    struct jobspec js = { .json = o };
    struct checker ck = { .js = &js, .error = error };
    int rc;

    if (!json_is_object(o))
        return fail(&ck, ": must be an object");
    if ((rc = only_keys(&ck, o, "", "version resources tasks attributes ")) < 0 ||
        (rc = check_version(&ck, json_object_get(o, "version"))) < 0 ||
        (rc = check_resources(&ck, json_object_get(o, "resources"))) < 0 ||
        (rc = check_tasks(&ck, json_object_get(o, "tasks"))) < 0 ||
        (rc = check_attributes(&ck, json_object_get(o, "attributes"))) < 0)
        return rc;
    json_incref(o);
    *ret = js;
    return 0;
}

void jobspec_deinit(struct jobspec *js)
{
    json_decref(js->json);
    *js = (struct jobspec){ 0 };
}

char *jobspec_job_name(const struct jobspec *js)
{
    CLEANUP(freep) char *command = NULL;

    if (js->name)
        return strdup(js->name);
    command = strdup(json_string_value(json_array_get(js->command, 0)));
    return command ? strdup(basename(command)) : NULL;
}

int jobspec_ntasks(const struct jobspec *js, size_t nnodes, size_t ncores)
{
    if (js->per_node)
        return (int)nnodes * js->per_node;
    if (js->per_core)
        return (int)ncores * js->per_core;
    return js->ntasks;
}
