/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From options to a jobspec. Refuses what cannot be meant (-N more than -n, a bad duration) in the
 * words of the option; what only the instance can know is left to it. */
#include "job-request.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jobspec.h"
#include "base/jsonx.h"
#include "base/monotime.h"
#include "base/number.h"
#include "client.h"
#include "datetime.h"
#include "dependency.h"
#include "env-rules.h"

struct builder {
    const struct cmdline *c;
    const char *cc;
    const struct job_variant *variant; /* NULL: the command of the command line */
    json_t *jobspec;
};

char *cc_substitute(const char *s, const char *cc)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    const char *p;

    if (!f)
        return NULL;
    while (cc && (p = strstr(s, "{cc}"))) {
        fprintf(f, "%.*s%s", (int)(p - s), s, cc);
        s = p + 4;
    }
    fputs(s, f);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* The argument of an option with {cc} replaced; malloc'd, NULL if not given. */
static char *option_text(const struct builder *b, const char *name)
{
    const char *s = cmdline_string(b->c, name, NULL);

    return s ? cc_substitute(s, b->cc) : NULL;
}

static int option_count(const struct builder *b, const char *name, int *ret)
{
    CLEANUP(freep) char *s = option_text(b, name);
    char what[48];

    *ret = 0;
    snprintf(what, sizeof(what), "--%s", name);
    return s ? parse_count(s, what, strncmp(name, "gpus-", 5) == 0 ? 0 : 1, ret) : 0;
}

static int complain_option(const char *name, const flux_error_t *error)
{
    complain("--%s: %s", name, error->text);
    return -1;
}

static json_t *build_environment(const struct builder *b, bool set_cc)
{
    CLEANUP(json_decrefp) json_t *env = env_create();
    flux_error_t error = { "out of memory" };

    for (size_t i = 0; i < b->c->nvalues; i++) {
        const struct option_value *v = &b->c->values[i];
        CLEANUP(freep) char *arg = v->arg ? cc_substitute(v->arg, b->cc) : NULL;
        int rc = 0;

        if (option_is(v, "env"))
            rc = env_apply(env, arg, &error);
        else if (option_is(v, "env-remove"))
            rc = env_remove(env, arg, &error);
        else if (option_is(v, "env-file"))
            rc = env_apply_file(env, arg, &error);
        if (rc < 0) {
            (void)complain_option(v->option->name, &error);
            return NULL;
        }
    }
    if (b->cc && set_cc)
        (void)json_object_set_new(env, "FLUX_JOB_CC", json_string(b->cc));
    return TAKE(env);
}

static char **build_argv(const struct builder *b, int argc)
{
    char *const *words = b->variant ? b->variant->argv : b->c->argv;
    char **argv = calloc((size_t)argc + 1, sizeof(*argv));

    for (int i = 0; argv && i < argc; i++)
        argv[i] = cc_substitute(words[i], b->cc);
    return argv;
}

static void argv_free(char **argv)
{
    for (char **a = argv; a && *a; a++)
        free(*a);
    free(argv);
}

/* Whole nodes unless slots were asked for. */
static int read_slots(const struct builder *b, struct jobspec_request *req)
{
    if (option_count(b, "nslots", &req->ntasks) < 0 || option_count(b, "nodes", &req->nnodes) < 0 ||
        option_count(b, "cores-per-slot", &req->cores_per_task) < 0 ||
        option_count(b, "gpus-per-slot", &req->gpus_per_task) < 0)
        return -1;
    if (!req->ntasks && !req->nnodes) {
        complain("how much is needed? --nslots=N or --nodes=N");
        return -1;
    }
    req->exclusive = req->exclusive || !req->ntasks;
    return 0;
}

static int read_size(const struct builder *b, struct jobspec_request *req)
{
    req->exclusive = cmdline_has(b->c, "exclusive");
    if (b->variant)
        return read_slots(b, req);
    return option_count(b, "ntasks", &req->ntasks) < 0 ||
                   option_count(b, "nodes", &req->nnodes) < 0 ||
                   option_count(b, "cores-per-task", &req->cores_per_task) < 0 ||
                   option_count(b, "gpus-per-task", &req->gpus_per_task) < 0
               ? -1
               : 0;
}

/* --cwd as the shell of the user would take it: the job's shell starts elsewhere. */
static char *working_directory(const struct builder *b)
{
    CLEANUP(freep) char *dir = option_text(b, "cwd");
    CLEANUP(freep) char *here = NULL;
    char *joined;

    if (dir && dir[0] == '/')
        return TAKE(dir);
    if (!(here = getcwd(NULL, 0))) {
        complain("cannot tell the current directory: %s; name one with --cwd", strerror(errno));
        return NULL;
    }
    if (!dir || strcmp(dir, ".") == 0)
        return TAKE(here);
    return asprintf(&joined, "%s/%s", here, dir) < 0 ? NULL : joined;
}

static int build_base(struct builder *b, bool set_cc)
{
    CLEANUP(json_decrefp) json_t *env = NULL;
    CLEANUP(freep) char *cwd = NULL;
    CLEANUP(freep) char *limit = option_text(b, "time-limit");
    struct jobspec_request req = { .argc = b->variant ? b->variant->argc : b->c->argc };
    flux_error_t error = { "out of memory" };

    if (read_size(b, &req) < 0 ||
        (limit && parse_duration(limit, "--time-limit", &req.duration) < 0) ||
        !(env = build_environment(b, set_cc)) || !(cwd = working_directory(b)))
        return -1;
    if (req.exclusive && !req.nnodes) {
        complain("--exclusive needs --nodes");
        return -1;
    }
    req.cwd = cwd;
    req.environment = env;
    req.argv = build_argv(b, req.argc);
    if (!(b->jobspec = jobspec_build(&req, &error)))
        complain("%s", error.text);
    argv_free(req.argv);
    return b->jobspec ? 0 : -1;
}

static int set(const struct builder *b, const char *option, const char *path, json_t *value)
{
    if (!value) { /* the only thing that is not text for JSON */
        complain("--%s: the value of '%s' is not valid UTF-8", option, path);
        return -1;
    }
    if (jobspec_set(b->jobspec, path, value) < 0) {
        complain("--%s: cannot set '%s'", option, path);
        return -1;
    }
    return 0;
}

static int set_string(const struct builder *b, const char *option, const char *path)
{
    CLEANUP(freep) char *s = option_text(b, option);

    return s ? set(b, option, path, json_string(s)) : 0;
}

/* -o KEY[=VAL] */
static int set_shell_option(const struct builder *b, char *arg)
{
    char *equals = strchr(arg, '=');
    char path[256];

    if (equals)
        *equals = '\0';
    snprintf(path, sizeof(path), "attributes.system.shell.options.%s", arg);
    return set(b, "setopt", path, equals ? parse_value(equals + 1) : json_integer(1));
}

/* --setattr=KEY=VAL; KEY is taken from attributes.system unless it says system, user or attributes
 * itself. */
static int set_attribute(const struct builder *b, char *arg)
{
    bool from_file = arg[0] == '^';
    char *key = arg + from_file;
    char *equals = strchr(key, '=');
    const char *prefix = "attributes.system.";
    json_error_t e;
    json_t *value;
    char path[256];

    if (!equals) {
        complain("--setattr: '%s' is not of the form KEY=VAL", arg);
        return -1;
    }
    *equals = '\0';
    if (strncmp(key, "attributes.", 11) == 0)
        prefix = "";
    else if (strncmp(key, "system.", 7) == 0 || strncmp(key, "user.", 5) == 0)
        prefix = "attributes.";
    if (!from_file) {
        value = parse_value(equals + 1);
    } else if (!(value = json_load_file(equals + 1, JSON_DECODE_ANY, &e))) {
        complain("--setattr: %s: %s", equals + 1, e.line < 0 ? strerror(errno) : e.text);
        return -1;
    }
    snprintf(path, sizeof(path), "%s%s", prefix, key);
    return set(b, "setattr", path, value);
}

/* A stream that goes to or comes from a file: "output", "stdout" -> --output. */
bool job_input_is_ranks(const char *s)
{
    struct idset *ids = isdigit((unsigned char)s[0]) ? idset_decode(s) : NULL;
    const bool ok = ids || strcmp(s, "all") == 0;

    idset_destroy(ids);
    return ok;
}

static int set_stream(const struct builder *b, const char *option, const char *side,
                      const char *stream)
{
    CLEANUP(freep) char *s = option_text(b, option);
    char path[96];

    if (!s)
        return 0;
    if (!s[0]) {
        complain("--%s: the name of the file is empty", option);
        return -1;
    }
    if (strcmp(s, "none") == 0 || strcmp(s, "kvs") == 0)
        return 0; /* the default */
    if (strcmp(option, "input") == 0 && job_input_is_ranks(s))
        return set(b, option, "attributes.system.shell.options.input.stdin.ranks", json_string(s));
    snprintf(path, sizeof(path), "attributes.system.shell.options.%s.%s.type", side, stream);
    if (set(b, option, path, json_string("file")) < 0)
        return -1;
    snprintf(path, sizeof(path), "attributes.system.shell.options.%s.%s.path", side, stream);
    if (set(b, option, path, json_string(s)) < 0)
        return -1;
    if (strcmp(side, "output") == 0 && cmdline_has(b->c, "label-io")) {
        snprintf(path, sizeof(path), "attributes.system.shell.options.%s.%s.label", side, stream);
        return set(b, option, path, json_true());
    }
    return 0;
}

static int set_unbuffered(const struct builder *b)
{
    static const char *const paths[] = {
        "attributes.system.shell.options.output.stdout.buffer.type",
        "attributes.system.shell.options.output.stderr.buffer.type",
    };

    for (size_t i = 0; cmdline_has(b->c, "unbuffered") && i < ARRAY_SIZE(paths); i++) {
        if (set(b, "unbuffered", paths[i], json_string("none")) < 0)
            return -1;
    }
    return 0;
}

static int set_repeatable(const struct builder *b)
{
    for (size_t i = 0; i < b->c->nvalues; i++) {
        const struct option_value *v = &b->c->values[i];
        CLEANUP(freep) char *arg = v->arg ? cc_substitute(v->arg, b->cc) : NULL;
        flux_error_t error = { "out of memory" };

        if ((option_is(v, "setopt") && set_shell_option(b, arg) < 0) ||
            (option_is(v, "setattr") && set_attribute(b, arg) < 0))
            return -1;
        if (option_is(v, "dependency") && dependency_add(b->jobspec, arg, &error) < 0)
            return complain_option("dependency", &error);
    }
    return 0;
}

/* --begin-time is a dependency too. */
static int set_begin_time(const struct builder *b)
{
    CLEANUP(freep) char *s = option_text(b, "begin-time");
    flux_error_t error = { "out of memory" };
    char uri[64];
    double t;

    if (!s)
        return 0;
    if (datetime_parse(s, walltime(), &t, &error) < 0)
        return complain_option("begin-time", &error);
    snprintf(uri, sizeof(uri), "begin-time:%.6f", t);
    return dependency_add(b->jobspec, uri, &error) < 0 ? complain_option("begin-time", &error) : 0;
}

static int parse_flags(const char *s, int *flags)
{
    while (*s) {
        size_t len = strcspn(s, ",");

        if (len == 5 && strncmp(s, "debug", len) == 0) {
            *flags |= FLUX_JOB_DEBUG;
        } else if (len == 8 && strncmp(s, "waitable", len) == 0) {
            *flags |= FLUX_JOB_WAITABLE;
        } else if (len == 10 && strncmp(s, "novalidate", len) == 0) {
            *flags |= FLUX_JOB_NOVALIDATE;
        } else {
            complain("--flags: there is no flag '%.*s'", (int)len, s);
            return -1;
        }
        s += len + (s[len] == ',');
    }
    return 0;
}

static int read_urgency_and_flags(const struct builder *b, struct job_request *req)
{
    CLEANUP(freep) char *urgency = option_text(b, "urgency");

    req->urgency = FLUX_JOB_URGENCY_DEFAULT;
    if (urgency && parse_urgency(urgency, "--urgency", &req->urgency) < 0)
        return -1;
    if (cmdline_has(b->c, "debug"))
        req->flags |= FLUX_JOB_DEBUG;
    return parse_flags(cmdline_string(b->c, "flags", ""), &req->flags);
}

static int edit(const struct builder *b)
{
    return b->variant ? b->variant->edit(b->jobspec, b->variant->arg) : 0;
}

static int build(struct builder *b, bool set_cc, struct job_request *req)
{
    int rc = -1;

    *req = (struct job_request){ 0 };
    if (read_urgency_and_flags(b, req) == 0 && build_base(b, set_cc) == 0 && edit(b) == 0 &&
        set_string(b, "job-name", "attributes.system.job.name") == 0 &&
        set_string(b, "queue", "attributes.system.queue") == 0 &&
        set_stream(b, "input", "input", "stdin") == 0 &&
        set_stream(b, "output", "output", "stdout") == 0 &&
        set_stream(b, "error", "output", "stderr") == 0 && set_unbuffered(b) == 0 &&
        set_string(b, "signal", "attributes.system.shell.options.signal") == 0 &&
        set_repeatable(b) == 0 && set_begin_time(b) == 0) {
        if ((req->jobspec = jsonx_encode(b->jobspec, NULL)))
            rc = 0;
        else
            complain("out of memory");
    }
    json_decref(b->jobspec);
    return rc;
}

int job_request_init(struct job_request *req, const struct cmdline *c, const char *cc, bool set_cc)
{
    struct builder b = { .c = c, .cc = cc };

    return build(&b, set_cc, req);
}

int job_request_init_variant(struct job_request *req, const struct cmdline *c,
                             const struct job_variant *v)
{
    struct builder b = { .c = c, .variant = v };

    return build(&b, false, req);
}

void job_request_deinit(struct job_request *req)
{
    free(req->jobspec);
    *req = (struct job_request){ 0 };
}
