/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Building the job. Its command is `fluxctl start`, once on each node: the shell's PMI tells them
 * that they are one instance, and rank 0 runs the script or command. What they need travels in the
 * jobspec (attributes.system.files); the shell writes it to the job's directory on each node. */
#include "nested.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/jobspec.h"
#include "client.h"
#include "supervise/unitfile.h"

#define FILE_MAX_SIZE (1u << 20) /* jobspecs are not for data */
#define CONF_DIR      "conf.d"
#define LEAVE_TIME    "2s" /* that the other nodes have to end when rank 0 has */

char *read_whole(const char *path, size_t *ret_size)
{
    CLEANUP(fclosep) FILE *f = path ? fopen(path, "re") : fdopen(dup(STDIN_FILENO), "r");
    char *text = malloc(FILE_MAX_SIZE + 1);
    size_t n;

    if (!f || !text) {
        complain("cannot read %s: %s", path ? path : "standard input", strerror(errno));
        free(text);
        return NULL;
    }
    n = fread(text, 1, FILE_MAX_SIZE + 1, f);
    if (ferror(f) || n > FILE_MAX_SIZE) {
        complain("cannot read %s: %s", path ? path : "standard input",
                 ferror(f) ? strerror(errno) : "it is larger than a megabyte");
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *ret_size = n;
    return text;
}

int nested_add_file(struct nested *n, const char *name, const char *data, size_t size, int mode)
{
    CLEANUP(freep) char *text = NULL;
    json_t *value = json_stringn(data, size); /* NULL: not UTF-8 */
    const char *encoding = value ? "utf-8" : "base64";
    size_t len;

    if (!value && (text = base64_encode(data, size, &len)))
        value = json_stringn(text, len);
    if (!value ||
        json_object_set_new(n->files, name,
                            json_pack("{s:i s:I s:s s:o}", "mode", S_IFREG | mode, "size",
                                      (json_int_t)size, "encoding", encoding, "data", value)) < 0) {
        complain("'%s' cannot be the name of a file", name);
        return -1;
    }
    return 0;
}

/* [NAME=]PATH */
static int add_path(struct nested *n, const char *arg)
{
    const char *equals = strchr(arg, '=');
    const char *path = equals ? equals + 1 : arg;
    CLEANUP(freep)
    char *name = equals ? strndup(arg, (size_t)(equals - arg)) : strdup(basename(path));
    CLEANUP(freep) char *data = NULL;
    struct stat st;
    size_t size;

    if (!name || !(data = read_whole(path, &size)))
        return -1;
    if (!name[0] || name[0] == '/') {
        complain("--add-file: '%s' is not the name of a file in the job's directory", name);
        return -1;
    }
    return nested_add_file(n, name, data, size, stat(path, &st) == 0 ? st.st_mode & 0777 : 0600);
}

/* --- configuration */

/* KEY=VAL as a line of TOML: VAL is JSON, of which TOML knows all but objects and null, or text. */
static int write_value(const char *arg, FILE *f)
{
    const char *equals = strchr(arg, '=');
    CLEANUP(json_decrefp) json_t *v = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    CLEANUP(freep) char *text = NULL;

    if (!v && !(v = json_string(equals + 1)))
        return -EINVAL;
    if (json_is_object(v) || json_is_null(v) || !(text = json_dumps(v, JSON_ENCODE_ANY)))
        return -EINVAL;
    fprintf(f, "%.*s = %s\n", (int)(equals - arg), arg, text);
    return 0;
}

/* One --conf is one file; they are read in their order, and a later one wins. */
static int add_conf(struct nested *n, const char *arg, int number)
{
    CLEANUP(freep) char *text = NULL;
    char name[32];
    size_t size;
    FILE *f;
    int rc = 0;

    if (strchr(arg, '\n')) {
        text = strdup(arg);
        size = strlen(arg);
    } else if (strchr(arg, '=')) {
        f = open_memstream(&text, &size);
        rc = f ? write_value(arg, f) : -ENOMEM;
        rc = f && fclose(f) != 0 ? -ENOMEM : rc;
    } else {
        text = read_whole(arg, &size);
        rc = text ? 0 : -1;
    }
    if (rc == -EINVAL)
        complain("--conf=%s: expected a file, or KEY=VAL with a text, a number, a boolean or an "
                 "array",
                 arg);
    if (rc < 0 || !text)
        return -1;
    (void)snprintf(name, sizeof(name), CONF_DIR "/%04d.toml", number);
    return nested_add_file(n, name, text, size, 0600);
}

/* --- the command */

int nested_add_word(struct nested *n, const char *word)
{
    if (strv_append(&n->argv, word) == 0)
        return 0;
    complain("out of memory");
    return -1;
}

static int add_option_word(struct nested *n, const char *name, const char *value)
{
    char *word;

    if (asprintf(&word, "--%s=%s", name, value) < 0)
        word = NULL;
    if (strv_take(&n->argv, word) == 0)
        return 0;
    complain("out of memory");
    return -1;
}

static int begin_command(struct nested *n)
{
    char self[PATH_MAX];
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len <= 0) {
        complain("cannot tell where this program is: %s", strerror(errno));
        return -1;
    }
    self[len] = '\0';
    return nested_add_word(n, self) < 0 || nested_add_word(n, "start") < 0 ? -1 : 0;
}

static int read_options(struct nested *n)
{
    int nconf = 0, rc = 0;

    for (size_t i = 0; rc == 0 && i < n->c->nvalues; i++) {
        const struct option_value *v = &n->c->values[i];

        if (option_is(v, "broker-opts"))
            rc = add_option_word(n, "broker-opts", v->arg);
        else if (option_is(v, "conf"))
            rc = add_conf(n, v->arg, nconf++);
        else if (option_is(v, "add-file"))
            rc = add_path(n, v->arg);
    }
    if (rc == 0 && nconf > 0)
        rc = add_option_word(n, "config-path", "{{tmpdir}}/" CONF_DIR);
    return rc;
}

int nested_init(struct nested *n, const struct cmdline *c)
{
    *n = (struct nested){ .c = c, .files = json_object() };
    if (!n->files || begin_command(n) < 0 || read_options(n) < 0 || nested_add_word(n, "--") < 0) {
        nested_deinit(n);
        return -1;
    }
    return 0;
}

void nested_deinit(struct nested *n)
{
    (void)strv_free(n->argv);
    json_decref(n->files);
    *n = (struct nested){ .c = NULL };
}

/* --- the jobspec */

#define SHELL_OPTIONS "attributes.system.shell.options."

static int set_output(const struct nested *n, json_t *jobspec)
{
    if (!n->output || cmdline_has(n->c, "output"))
        return 0;
    return jobspec_set(jobspec, SHELL_OPTIONS "output.stdout.type", json_string("file")) < 0
               ? -1
               : jobspec_set(jobspec, SHELL_OPTIONS "output.stdout.path", json_string(n->output));
}

/* One task a node, input for rank 0 only, and nodes end when rank 0 has told them to. */
static int edit(json_t *jobspec, void *arg)
{
    const struct nested *n = arg;

    if (jobspec_set(jobspec, SHELL_OPTIONS "per-resource.type", json_string("node")) < 0 ||
        jobspec_set(jobspec, SHELL_OPTIONS "exit-timeout", json_string("none")) < 0 ||
        jobspec_set(jobspec, SHELL_OPTIONS "exit-with-first", json_string(LEAVE_TIME)) < 0 ||
        jobspec_set(jobspec, SHELL_OPTIONS "input.stdin.ranks", json_string("0")) < 0 ||
        jobspec_set(jobspec, "attributes.system.job.name", json_string(n->name)) < 0 ||
        (json_object_size(n->files) > 0 &&
         jobspec_set(jobspec, "attributes.system.files", json_incref(n->files)) < 0) ||
        set_output(n, jobspec) < 0 ||
        (n->terminal &&
         jobspec_set(jobspec, SHELL_OPTIONS "pty.interactive", json_integer(1)) < 0)) {
        complain("the name of the job or of a file is not valid UTF-8");
        return -1;
    }
    return 0;
}

int nested_request(struct nested *n, struct job_request *req)
{
    const struct job_variant v = {
        .argc = (int)strv_count(n->argv), .argv = n->argv, .edit = edit, .arg = n
    };

    return job_request_init_variant(req, n->c, &v);
}
