/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Dates and times as people write them. Refuses every word it does not know, and a second day or
 * time: a job at the wrong time is worse than none. */
#include "datetime.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/fsd.h"
#include "base/number.h"

#define END_OF_TIME 253402300800. /* the year 10000 */

struct when {
    struct tm tm; /* now, then the result */
    bool has_day, has_time;
};

static int parse_offset(const char *s, double *ret, flux_error_t *error)
{
    if (fsd_parse(s, ret) < 0)
        return errorx_fail(error, EINVAL, "'%s' is not a duration such as 30s, 1.5m or 2h", s);
    return 0;
}

/* "5 minutes", "an hour" */
static int parse_span(char **words, size_t n, double *ret)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "second", 1 },  { "sec", 1 },   { "minute", 60 }, { "min", 60 },
                  { "hour", 3600 }, { "hr", 3600 }, { "day", 86400 }, { "week", 7 * 86400 } };
    double count;
    size_t len;

    if (n != 2)
        return -EINVAL;
    if (strcasecmp(words[0], "a") == 0 || strcasecmp(words[0], "an") == 0)
        count = 1;
    else if (number_parse_double(words[0], &count) < 0 || count < 0)
        return -EINVAL;
    len = strlen(words[1]);
    if (len > 1 && (words[1][len - 1] == 's' || words[1][len - 1] == 'S'))
        len--;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strlen(units[i].name) == len && strncasecmp(units[i].name, words[1], len) == 0) {
            *ret = count * units[i].seconds;
            return 0;
        }
    }
    return -EINVAL;
}

static bool set_day(struct when *w, int year, int month, int day)
{
    if (w->has_day || year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    w->tm.tm_year = year - 1900;
    w->tm.tm_mon = month - 1;
    w->tm.tm_mday = day;
    w->has_day = true;
    return true;
}

static bool add_days(struct when *w, int days)
{
    if (w->has_day)
        return false;
    w->tm.tm_mday += days;
    w->has_day = true;
    return true;
}

static bool set_time(struct when *w, int hour, int minute, int second)
{
    if (w->has_time || hour > 23 || minute > 59 || second > 60)
        return false;
    w->tm.tm_hour = hour;
    w->tm.tm_min = minute;
    w->tm.tm_sec = second;
    w->has_time = true;
    return true;
}

static bool weekday(struct when *w, const char *word)
{
    static const char *const names[] = { "sunday",   "monday", "tuesday", "wednesday",
                                         "thursday", "friday", "saturday" };
    size_t len = strlen(word);

    for (int d = 0; len >= 3 && d < 7; d++) {
        if (strncasecmp(names[d], word, len) == 0)
            return add_days(w, (d - w->tm.tm_wday + 6) % 7 + 1);
    }
    return false;
}

static bool name(struct when *w, const char *word)
{
    static const struct {
        const char *name;
        int hour;
    } times[] = { { "midnight", 0 }, { "morning", 6 },  { "noon", 12 },
                  { "evening", 18 }, { "tonight", 21 }, { "night", 21 } };

    if (strcasecmp(word, "today") == 0)
        return add_days(w, 0);
    if (strcasecmp(word, "tomorrow") == 0)
        return add_days(w, 1);
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        if (strcasecmp(times[i].name, word) == 0)
            return set_time(w, times[i].hour, 0, 0);
    }
    return false;
}

/* 8am 8:30pm 17:30 17:30:15 */
static bool clock_time(struct when *w, const char *word)
{
    int hour, minute = 0, second = 0, used = 0;
    const char *rest;
    bool colon;

    if (sscanf(word, "%2d%n", &hour, &used) != 1 || word[0] == '-' || word[0] == '+')
        return false;
    rest = word + used;
    colon = *rest == ':';
    if (colon && (sscanf(rest, ":%2d%n", &minute, &used) != 1 || minute < 0))
        return false;
    rest += colon ? used : 0;
    if (colon && *rest == ':') {
        if (sscanf(rest, ":%2d%n", &second, &used) != 1 || second < 0)
            return false;
        rest += used;
    }
    if (!*rest)
        return colon && set_time(w, hour, minute, second);
    if ((strcasecmp(rest, "am") != 0 && strcasecmp(rest, "pm") != 0) || hour < 1 || hour > 12)
        return false;
    return set_time(w, hour % 12 + (strcasecmp(rest, "pm") == 0 ? 12 : 0), minute, second);
}

/* 2026-01-31, 2026-01-31T08:00 */
static bool calendar_day(struct when *w, char *word)
{
    char *t = strpbrk(word, "Tt");
    int year, month, day, used = 0;

    if (t && t > word)
        *t++ = '\0';
    if (sscanf(word, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || word[used])
        return false;
    return set_day(w, year, month, day) && (!t || clock_time(w, t));
}

static bool parse_word(struct when *w, char *word)
{
    if (strcasecmp(word, "at") == 0 || strcasecmp(word, "next") == 0 || strcasecmp(word, "on") == 0)
        return true;
    if (strchr(word, '-'))
        return calendar_day(w, word);
    return name(w, word) || weekday(w, word) || clock_time(w, word);
}

static int parse_point(char **words, size_t n, double now, double *ret, flux_error_t *error)
{
    time_t t = (time_t)now;
    struct when w = { 0 };
    int day;

    if (!localtime_r(&t, &w.tm))
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        bool meridiem = i + 1 < n && (strcasecmp(words[i + 1], "am") == 0 ||
                                      strcasecmp(words[i + 1], "pm") == 0);
        char joined[32];

        if (meridiem)
            snprintf(joined, sizeof(joined), "%s%s", words[i], words[i + 1]);
        if (!parse_word(&w, meridiem ? joined : words[i]))
            return errorx_fail(error, EINVAL,
                               "'%s' is not understood; try '2026-01-31 8am' or 'tomorrow 17:30'",
                               words[i]);
        i += meridiem;
    }
    if (!w.has_time && !w.has_day)
        return errorx_fail(error, EINVAL, "there is neither a day nor a time");
    if (!w.has_time)
        (void)set_time(&w, 0, 0, 0);
    day = w.tm.tm_mday;
    w.tm.tm_isdst = -1;
    t = mktime(&w.tm);
    if (!w.has_day && (double)t <= now) {
        w.tm.tm_mday++;
        w.tm.tm_isdst = -1;
        t = mktime(&w.tm);
    } else if (strchr(words[0], '-') && w.tm.tm_mday != day) {
        return errorx_fail(error, EINVAL, "there is no such day in that month");
    }
    *ret = (double)t;
    return 0;
}

static int parse_any(const char *s, double now, double *ret, flux_error_t *error)
{
    CLEANUP(freep) char *copy = strdup(s);
    char *words[8], *save = NULL;
    double offset;
    size_t n = 0;
    int rc;

    if (!copy)
        return -ENOMEM;
    if (s[0] == '+') {
        if ((rc = parse_offset(s + 1, &offset, error)) == 0)
            *ret = now + offset;
        return rc;
    }
    for (char *word = strtok_r(copy, " \t,", &save); word; word = strtok_r(NULL, " \t,", &save)) {
        if (n == ARRAY_SIZE(words))
            return errorx_fail(error, EINVAL, "'%s' has too many words", s);
        words[n++] = word;
    }
    if (n == 0)
        return errorx_fail(error, EINVAL, "it is empty");
    if (n == 1 && strcasecmp(words[0], "now") == 0) {
        *ret = now;
        return 0;
    }
    if ((strcasecmp(words[0], "in") == 0 && parse_span(words + 1, n - 1, &offset) == 0) ||
        parse_span(words, n, &offset) == 0) {
        *ret = now + offset;
        return 0;
    }
    return parse_point(words, n, now, ret, error);
}

int datetime_parse(const char *s, double now, double *ret, flux_error_t *error)
{
    double t = 0;
    int rc = parse_any(s, now, &t, error);

    if (rc < 0)
        return rc;
    if (!(t < END_OF_TIME))
        return errorx_fail(error, EINVAL, "'%s' is after the year 9999", s);
    *ret = t;
    return 0;
}
