/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl: the command-line client, also installed as flux. Finds the command and hands over; the
 * instance is opened by the commands that need one. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "environment.h"
#include "parent.h"

static int run_command(const struct command *command, int argc, char **argv)
{
    struct cmdline c;
    flux_error_t error = { "out of memory" };
    int status;

    client_set_command(command->name);
    if (cmdline_parse(command, argc, argv, &c, &error) < 0) {
        complain("%s", error.text);
        fprintf(stderr, "Try `flux %s --help`.\n", command->name);
        return EXIT_FAILURE;
    }
    if (c.help) {
        command_print_help(command, stdout);
        status = EXIT_SUCCESS;
    } else {
        status = command->run(&c);
    }
    cmdline_deinit(&c);
    return status == EXIT_SUCCESS ? output_check() : status;
}

static void print_words(int n, char **argv, FILE *f)
{
    for (int i = 0; i < n; i++)
        fprintf(f, "%s%s", i > 0 ? " " : "", argv[i]);
}

/* "kvs --help", "kvs", "kvs nosuch", "nosuch" */
static int no_command(int argc, char **argv)
{
    int known = commands_depth(argc, argv); /* words that begin a command */
    const char *meant = known < argc ? command_suggest(known + 1, argv) : NULL;

    if (known > 0 && known < argc &&
        (strcmp(argv[known], "--help") == 0 || strcmp(argv[known], "-h") == 0)) {
        commands_print_group(known, argv, stdout);
        return EXIT_SUCCESS;
    }
    fputs("flux: ", stderr);
    fputs(known < argc ? "there is no command '" : "a command is missing after '", stderr);
    print_words(known < argc ? known + 1 : argc, argv, stderr);
    fputs("'\n", stderr);
    if (meant) {
        fputs("Did you mean `flux ", stderr);
        print_words(known, argv, stderr);
        fprintf(stderr, "%s%s`?\n", known > 0 ? " " : "", meant);
    } else if (known > 0) {
        commands_print_group(known, argv, stderr);
    } else {
        fputs("Try `flux --help`.\n", stderr);
    }
    return EXIT_FAILURE;
}

/* A command that is not ours: a program. Returns -ENOENT if there is none, any other -errno after
 * complaining. */
static int run_program(char **argv, bool verbose)
{
    int rc = environment_set();

    if (rc == 0)
        rc = environment_exec(argv, verbose ? stderr : NULL);
    if (rc == -ENOENT && !strchr(argv[0], '/'))
        return rc;
    complain("cannot run '%s': %s", argv[0], strerror(-rc));
    return -ECANCELED;
}

/* Options before the command. Returns the index of the command, or -1 with an exit status. */
static int global_options(int argc, char **argv, bool *ret_verbose, int *ret_status)
{
    static char *const version[] = { "version", NULL };
    int i;

    *ret_status = EXIT_SUCCESS;
    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            commands_print_help(stdout);
            return -1;
        }
        if (strcmp(argv[i], "--list-completions") == 0) {
            commands_complete(argc - i - 1, argv + i + 1, stdout);
            return -1;
        }
        if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0) {
            int words;

            *ret_status = run_command(command_find(1, (char **)version, &words), 0, NULL);
            return -1;
        }
        if (strcmp(argv[i], "-p") == 0 || strcmp(argv[i], "--parent") == 0) {
            if ((*ret_status = parent_enter()) != EXIT_SUCCESS)
                return -1;
        } else if (strcmp(argv[i], "-r") == 0 || strcmp(argv[i], "--root") == 0) {
            if ((*ret_status = parent_enter_root()) != EXIT_SUCCESS)
                return -1;
        } else if (strcmp(argv[i], "-v") == 0 || strcmp(argv[i], "--verbose") == 0) {
            *ret_verbose = true;
        } else {
            *ret_status = complain("unknown option %s; try `flux --help`", argv[i]);
            return -1;
        }
    }
    return i;
}

/* A closed standard stream would become whatever is opened next: the connection to the router.
 * One for output that can only be read makes what is printed an error (EBADF), as it should be. */
static void open_standard_streams(void)
{
    static const int modes[] = { O_RDWR, O_RDONLY, O_RDWR };

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", modes[fd]); /* the lowest free number: this one */
}

int main(int argc, char **argv)
{
    const struct command *command;
    bool verbose = false;
    int status, first, words;

    open_standard_streams();
    (void)setlocale(LC_CTYPE, "");
    if ((first = global_options(argc, argv, &verbose, &status)) < 0)
        return status == EXIT_SUCCESS ? output_check() : status;
    if (first == argc) {
        commands_print_help(stderr);
        return EXIT_FAILURE;
    }
    if (verbose && environment_set() == 0)
        environment_print(stderr);
    command = strchr(argv[first], '/') ? NULL : command_find(argc - first, argv + first, &words);
    if (command && verbose)
        fprintf(stderr, "'%s' is built in\n", command->name);
    if (command)
        return run_command(command, argc - first - words, argv + first + words);
    if (commands_depth(argc - first, argv + first) == 0 &&
        run_program(argv + first, verbose) != -ENOENT)
        return EXIT_FAILURE;
    return no_command(argc - first, argv + first);
}
