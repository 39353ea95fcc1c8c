/* main.c - docent: the list of verbs. A question starts in query.c, a file in indexing.c. */
#include <stdio.h>
#include <string.h>

#include "coordinator/commands.h"

static const struct command *const commands[] = {
    &command_index,  &command_search,  &command_ask,    &command_chat,   &command_status, &command_verify,
    &command_rm,     &command_compact, &command_backup, &command_restore, &command_eval,
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(FILE *f)
{
    fputs("docent " DOCENT_VERSION ": answers from your own files, with the quotes that prove them\n\n"
          "usage: docent COMMAND [words and options]   (docent COMMAND --help)\n\n",
          f);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const char *help = commands[i]->help;
        fprintf(f, "  %-9s %.*s\n", commands[i]->name, (int)strcspn(help, "\n"), help);
    }
    fputs("\nFirst: docent index FOLDER, then: docent ask \"...\"\n", f);
}

/* The verb that was meant, for a word that differs in at most a letter or two. */
static const char *nearest(const char *word)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strncmp(commands[i]->name, word, 2))
            return commands[i]->name;
    return NULL;
}

static const struct command *command_of(const char *word)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i]->name, word))
            return commands[i];
    return NULL;
}

/* "docent -L DIR index FOLDER": options may stand before the verb. Moves the verb to argv[1]. */
static void verb_first(int argc, char **argv)
{
    static const char *const with_value[] = {"-L", "--library", "--models", "--embedder", "--generator",
                                             "-t", "--threads", "--log"};

    for (int i = 1; i < argc && argv[i][0] == '-'; i++) {
        for (size_t k = 0; k < sizeof with_value / sizeof with_value[0]; k++)
            if (!strcmp(argv[i], with_value[k])) {
                i++;
                break;
            }
        if (i + 1 < argc && command_of(argv[i + 1])) {
            char *verb = argv[i + 1];
            memmove(argv + 2, argv + 1, (size_t)i * sizeof *argv);
            argv[1] = verb;
            return;
        }
    }
}

int main(int argc, char **argv)
{
    const char *word;

    verb_first(argc, argv);
    word = argc > 1 ? argv[1] : "";
    if (!*word || !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        print_usage(*word ? stdout : stderr);
        return *word ? EXIT_OK : EXIT_USAGE;
    }
    if (!strcmp(word, "--version")) {
        puts("docent " DOCENT_VERSION);
        return EXIT_OK;
    }
    if (command_of(word))
        return command_of(word)->run(argc - 2, argv + 2);
    fprintf(stderr, "docent: no command \"%.40s\"", word);
    if (nearest(word))
        fprintf(stderr, "; did you mean %s?", nearest(word));
    fputs(" (docent --help)\n", stderr);
    return EXIT_USAGE;
}
