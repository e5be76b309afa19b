/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The notations of a task map: RFC 34's JSON, the vector of PMI-1, and a list of id sets. They come
 * from users and from files of jobs: everything is checked. */
#include <string.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "base/number.h"
#include "base/taskmap-internal.h"

static int refuse(int rc, flux_error_t *error)
{
    if (rc == -E2BIG)
        return errorx_fail(error, EINVAL, "the task map has more than %d tasks or %d blocks",
                           TASKMAP_TASKS_MAX, TASKMAP_BLOCKS_MAX);
    if (rc == -EINVAL)
        return errorx_fail(error, EINVAL,
                           "a block of a task map is a node from 0 on, and numbers of nodes, of "
                           "tasks and of repeats from 1 on");
    return errorx_fail(error, -rc, "out of memory for a task map");
}

/* --- JSON */

json_t *taskmap_encode(const struct taskmap *map)
{
    CLEANUP(json_decrefp) json_t *list = json_array();

    for (size_t i = 0; list && i < map->count; i++) {
        const struct taskmap_run *run = &map->runs[i];

        if (json_array_append_new(
                list, json_pack("[i,i,i,i]", run->node, run->nnodes, run->ppn, run->repeat)) < 0)
            return NULL;
    }
    return TAKE(list);
}

static int decode_block(const json_t *o, struct taskmap *map)
{
    json_int_t v[4];
    const struct taskmap_run *run;

    if (json_array_size(o) != 4 ||
        json_unpack((json_t *)o, "[I,I,I,I]", &v[0], &v[1], &v[2], &v[3]) < 0)
        return -EINVAL;
    for (int i = 0; i < 4; i++)
        if (v[i] < 0 || v[i] > INT32_MAX)
            return -EINVAL;
    run = &(struct taskmap_run){ (int)v[0], (int)v[1], (int)v[2], (int)v[3] };
    return taskmap_add_run(map, run);
}

static int decode(const json_t *o, struct taskmap **ret, flux_error_t *error)
{
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;
    int version = 1, rc;
    const json_t *block;
    json_t *list = (json_t *)o;
    size_t i;

    if (json_is_object(o) &&
        (json_unpack((json_t *)o, "{s:i s:o}", "version", &version, "map", &list) < 0 ||
         version != 1))
        return errorx_fail(error, EINVAL, "a task map has version 1, and its blocks below \"map\"");
    if (!json_is_array(list))
        return errorx_fail(error, EINVAL, "a task map is an array of blocks");
    rc = taskmap_new(&map);
    json_array_foreach (list, i, block) {
        if (rc == 0)
            rc = decode_block(block, map);
    }
    if (rc < 0)
        return refuse(rc, error);
    *ret = TAKE(map);
    return 0;
}

int taskmap_decode(const json_t *o, struct taskmap **ret, flux_error_t *error)
{
    const int rc = decode(o, ret, error);

    return rc == -EINVAL ? -EPROTO : rc;
}

/* --- PMI */

static size_t print_run(const struct taskmap_run *run, char *buf, size_t size)
{
    const int n = snprintf(buf, size, ",(%d,%d,%d)", run->node, run->nnodes, run->ppn);

    return n > 0 ? (size_t)n : 0;
}

char *taskmap_encode_pmi(const struct taskmap *map)
{
    size_t size = sizeof("(vector)"), used;
    char *s;

    for (size_t i = 0; i < map->count; i++)
        size += print_run(&map->runs[i], NULL, 0) * (size_t)map->runs[i].repeat;
    s = malloc(size);
    if (!s)
        return NULL;
    used = (size_t)snprintf(s, size, "(vector");
    for (size_t i = 0; i < map->count; i++)
        for (int n = 0; n < map->runs[i].repeat; n++)
            used += print_run(&map->runs[i], s + used, size - used);
    (void)snprintf(s + used, size - used, ")");
    return s;
}

/* "(NODE,NNODES,PPN)" at p; the rest behind it, NULL: it is not one. */
static const char *scan_block(const char *p, int v[3])
{
    for (int i = 0; i < 3; i++) {
        char digits[12];
        size_t len;

        p += strspn(p, " ");
        if (*p != (i == 0 ? '(' : ','))
            return NULL;
        p += 1 + strspn(p + 1, " ");
        len = strspn(p, "0123456789");
        if (len == 0 || len >= sizeof(digits))
            return NULL;
        memcpy(digits, p, len);
        digits[len] = '\0';
        if (number_parse_int(digits, 0, INT32_MAX, &v[i]) < 0)
            return NULL;
        p += len;
    }
    p += strspn(p, " ");
    return *p == ')' ? p + 1 : NULL;
}

static int parse_pmi(const char *s, struct taskmap *map)
{
    const char *p = s + strlen("(vector");
    int v[3], rc;

    while (p && *p == ',') {
        p = scan_block(p + 1, v);
        if (!p)
            return -EINVAL;
        if ((rc = taskmap_add_run(map, &(struct taskmap_run){ v[0], v[1], v[2], 1 })) < 0)
            return rc;
        p += strspn(p, " ");
    }
    return strcmp(p, ")") == 0 ? 0 : -EINVAL;
}

/* --- raw */

char *taskmap_encode_raw(const struct taskmap *map)
{
    const int nnodes = taskmap_nnodes(map);
    char *s = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&s, &size);
    bool ok = f;

    for (int i = 0; ok && i < nnodes; i++) {
        struct idset *ids = taskmap_tasks(map, i);
        char *text = ids ? idset_encode(ids, IDSET_FLAG_RANGE) : NULL;

        ok = text && fprintf(f, "%s%s", i > 0 ? ";" : "", text) >= 0;
        free(text);
        idset_destroy(ids);
    }
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok) {
        free(s);
        return NULL;
    }
    return s;
}

struct owners {
    int *node; /* of each task, and 1; 0: nobody's */
    size_t count, size;
};

/* Task ids of one node: none may have an owner yet. */
static int own(struct owners *w, const struct idset *ids, int node)
{
    unsigned int id;

    for (id = idset_first(ids); id != IDSET_INVALID_ID; id = idset_next(ids, id)) {
        if (id >= w->size || w->node[id] != 0)
            return -EINVAL;
        w->node[id] = node + 1;
        w->count++;
    }
    return 0;
}

static int own_all(struct owners *w, const char *s)
{
    int rc = 0;

    for (int node = 0; rc == 0; node++) {
        const size_t len = strcspn(s, ";");
        struct idset *ids = idset_ndecode(s, len);

        rc = ids ? own(w, ids, node) : -EINVAL;
        idset_destroy(ids);
        if (s[len] == '\0')
            break;
        s += len + 1;
    }
    return rc;
}

static int count_ids(const char *s, size_t *ret)
{
    size_t n = 0;

    for (;;) {
        const size_t len = strcspn(s, ";");
        struct idset *ids = idset_ndecode(s, len);

        if (!ids)
            return -EINVAL;
        n += idset_count(ids);
        idset_destroy(ids);
        if (n > TASKMAP_TASKS_MAX)
            return -E2BIG;
        if (s[len] == '\0')
            break;
        s += len + 1;
    }
    *ret = n;
    return n > 0 ? 0 : -EINVAL;
}

static int parse_raw(const char *s, struct taskmap *map)
{
    struct owners w = { .node = NULL };
    CLEANUP(freep) int *nodes = NULL;
    int rc = count_ids(s, &w.size);

    if (rc < 0)
        return rc;
    w.node = nodes = calloc(w.size, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    rc = own_all(&w, s); /* as many ids as there are, each once: none is missing */
    for (size_t i = 0, n; i < w.size && rc == 0; i += n) {
        for (n = 1; i + n < w.size && nodes[i + n] == nodes[i]; n++)
            ;
        rc = taskmap_append(map, nodes[i] - 1, (int)n);
    }
    return rc;
}

int taskmap_parse(const char *s, struct taskmap **ret, flux_error_t *error)
{
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    const bool vector = strncmp(s, "(vector", 7) == 0;
    int rc;

    if (s[0] == '[' || s[0] == '{') {
        if (jsonx_text_depth(s, strlen(s)) > 3 ||
            !(o = json_loads(s, JSON_REJECT_DUPLICATES, NULL)))
            return errorx_fail(error, EINVAL, "a task map that is not JSON: %.60s", s);
        return decode(o, ret, error);
    }
    rc = taskmap_new(&map);
    if (rc == 0)
        rc = vector ? parse_pmi(s, map) : parse_raw(s, map);
    if (rc == -EINVAL)
        return errorx_fail(error, EINVAL,
                           "\"%.60s\" is not a task map such as [[0,4,2,1]], (vector,(0,4,2)) or "
                           "0-1;2-3",
                           s);
    if (rc < 0)
        return refuse(rc, error);
    *ret = TAKE(map);
    return 0;
}
