/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rows of `flux resource`: a state and its resources, and each field of them as text. Invariant: a
 * row owns its resources. */
#include "resource-rows.h"

#include <errno.h>
#include <flux/hostlist.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)
DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct rset *, rset_free)

void rows_deinit(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        rset_free(rows->rows[i].r);
    free(rows->rows);
    *rows = (struct rows){ 0 };
}

int rset_restrict(const struct rset *all, const struct idset *ranks, struct rset **ret)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    int rc = rset_new(&r);

    for (unsigned int id = idset_first(ranks); rc == 0 && id != IDSET_INVALID_ID;
         id = idset_next(ranks, id)) {
        const struct rset_rank *rr = rset_find(all, id);

        if (rr)
            rc = rset_add(r, id, rr->hostname, rr->cores, rr->gpus);
    }
    if (rc == 0)
        *ret = TAKE(r);
    return rc;
}

int rows_add(struct rows *rows, const struct row *row, const struct rset *all,
             const struct idset *ranks)
{
    struct row *grown = reallocarray(rows->rows, rows->count + 1, sizeof(*grown));
    struct row copy = *row;

    if (!grown)
        return -ENOMEM;
    rows->rows = grown;
    if (rset_restrict(all, ranks, &copy.r) < 0)
        return -ENOMEM;
    rows->rows[rows->count++] = copy;
    return 0;
}

/* --- fields --- */

/* A row, and the text of the field asked for last. */
struct row_reader {
    const struct row *row;
    char *text;
};

static struct value text(const char *s)
{
    return (struct value){ .type = s ? VALUE_TEXT : VALUE_ABSENT, .text = s };
}

static struct value owned(struct row_reader *rd, char *s)
{
    free(rd->text);
    rd->text = s;
    return text(s);
}

static struct value count(const struct row *row, const char *type)
{
    return (struct value){ .type = VALUE_INTEGER, .integer = (int64_t)rset_count(row->r, type) };
}

static struct value get_state(struct row_reader *rd)
{
    char *s = NULL;

    return owned(rd,
                 asprintf(&s, "%s%s", rd->row->state, rd->row->marked ? "*" : "") < 0 ? NULL : s);
}

static struct value get_up(struct row_reader *rd)
{
    static const char *const signs[] = { "", "✔", "✗" };

    return text(signs[rd->row->up]);
}

static struct value get_up_ascii(struct row_reader *rd)
{
    static const char *const signs[] = { "", "y", "n" };

    return text(signs[rd->row->up]);
}

static struct value get_status(struct row_reader *rd)
{
    static const char *const words[] = { "", "online", "offline" };

    return text(words[rd->row->up]);
}

static struct value get_nnodes(struct row_reader *rd)
{
    return count(rd->row, "node");
}

static struct value get_ncores(struct row_reader *rd)
{
    return count(rd->row, "core");
}

static struct value get_ngpus(struct row_reader *rd)
{
    return count(rd->row, "gpu");
}

static struct value get_ranks(struct row_reader *rd)
{
    CLEANUP(idset_destroyp) struct idset *ranks = rset_ranks(rd->row->r);

    return owned(rd, ranks ? idset_encode(ranks, IDSET_FLAG_RANGE) : NULL);
}

/* Each host once, however many nodes it has (flux start --test-size). */
static struct value get_nodelist(struct row_reader *rd)
{
    CLEANUP(freep) char *all = rset_nodelist(rd->row->r);
    CLEANUP(hostlist_destroyp) struct hostlist *hosts = all ? hostlist_decode(all) : NULL;

    if (hosts)
        hostlist_uniq(hosts);
    return owned(rd, hosts ? hostlist_encode(hosts) : NULL);
}

static struct value get_rlist(struct row_reader *rd)
{
    return owned(rd, rset_describe(rd->row->r));
}

static struct value get_reason(struct row_reader *rd)
{
    return text(rd->row->reason);
}

static struct value get_timestamp(struct row_reader *rd)
{
    if (rd->row->timestamp <= 0)
        return (struct value){ .type = VALUE_ABSENT };
    return (struct value){ .type = VALUE_REAL, .real = rd->row->timestamp };
}

static const struct row_field {
    const char *name, *heading;
    struct value (*get)(struct row_reader *rd);
} fields[] = {
    { "state", "STATE", get_state },          { "up", "UP", get_up },
    { "up.ascii", "UP", get_up_ascii },       { "status", "STATUS", get_status },
    { "nnodes", "NNODES", get_nnodes },       { "ncores", "NCORES", get_ncores },
    { "ngpus", "NGPUS", get_ngpus },          { "ranks", "RANKS", get_ranks },
    { "nodelist", "NODELIST", get_nodelist }, { "rlist", "LIST", get_rlist },
    { "reason", "REASON", get_reason },       { "timestamp", "TIMESTAMP", get_timestamp },
};

static const struct row_field *find_field(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

const char *row_heading(const char *name)
{
    const struct row_field *f = find_field(name);

    return f ? f->heading : NULL;
}

static struct value row_get(const char *name, void *arg)
{
    const struct row_field *f = find_field(name);

    return f ? f->get(arg) : (struct value){ .type = VALUE_ABSENT };
}

/* --- printing --- */

void rows_print(const struct rows *rows, const struct format *format, bool heading)
{
    struct row_reader rd = { 0 };
    struct format_source source = { .get = row_get, .heading = row_heading, .arg = &rd };

    if (heading)
        format_print_heading(format, &source, stdout);
    for (size_t i = 0; i < rows->count; i++) {
        rd.row = &rows->rows[i];
        format_print(format, &source, stdout);
        putchar('\n');
    }
    free(rd.text);
}

static json_t *value_json(const struct value *v)
{
    if (v->type == VALUE_TEXT)
        return json_string(v->text);
    if (v->type == VALUE_INTEGER)
        return json_integer(v->integer);
    return json_real(v->real);
}

void rows_print_json(const struct rows *rows)
{
    CLEANUP(json_decrefp) json_t *list = json_array();
    struct row_reader rd = { 0 };

    for (size_t i = 0; i < rows->count; i++) {
        json_t *o = json_object();

        rd.row = &rows->rows[i];
        for (size_t k = 0; k < ARRAY_SIZE(fields); k++) {
            struct value v = fields[k].get(&rd);

            if (v.type != VALUE_ABSENT && fields[k].get != get_up && fields[k].get != get_up_ascii)
                (void)json_object_set_new(o, fields[k].name, value_json(&v));
        }
        (void)json_array_append_new(list, o);
    }
    free(rd.text);
    (void)json_dumpf(list, stdout, JSON_COMPACT);
    putchar('\n');
}
