/* cmd_ask.h - how ask and chat show an answer. */
#ifndef DOCENT_COORDINATOR_CMD_ASK_H
#define DOCENT_COORDINATOR_CMD_ASK_H

#include "coordinator/query.h"

int show_text(void *arg, const char *text, size_t n); /* streams to stdout; arg: int * set when something was shown */
void show_sources(const struct answer *ans); /* citations, or the nearest passages when it abstained */
int parse_answer_mode(const char *word, enum answer_mode *m); /* 0, or prints and returns EXIT_USAGE */

#endif
