/* engine.h - what a process has open to answer questions: library, models, threads.
 * Opened by the commands, handed to query.c, eval.c and indexing.c. Threads: owned by one. */
#ifndef DOCENT_COORDINATOR_ENGINE_H
#define DOCENT_COORDINATOR_ENGINE_H

#include "base/team.h"
#include "embedder/embedder.h"
#include "generator/generator.h"
#include "index/index.h"

struct engine {
    struct library *lib; /* NULL: none opened */
    struct embedder *emb; /* NULL: keyword search and extractive answers only */
    struct generator *gen; /* NULL: no generated answers */
    struct team *team;
    char embedder_why[400]; /* why emb is NULL, "" when it was not asked for */
    char generator_why[400];
};

struct engine_opts {
    const char *library; /* folder; NULL: none */
    int lib_flags; /* LIB_* */
    const char *models; /* folder; NULL: $DOCENT_MODELS, ./models, <prefix>/models beside the program, ~/.local/share/docent/models */
    const char *embedder; /* name below models or a path; NULL: all-MiniLM-L6-v2; "none": no embedder */
    const char *generator; /* file; NULL: SmolLM2-135M-Instruct.Q4_1.gguf; "none" */
    int want_embedder, want_generator; /* 0: do not open */
    int threads; /* 0: all cores of this process */
};

/* Opens what is asked for. A missing model is not an error (emb/gen stay NULL, why says so); a broken model is, and so is a
 * library made with another embedder. */
int engine_open(struct engine *en, const struct engine_opts *o, struct err *e);
/* Opens o->library into an engine that has its models already, with the same checks (for a library that had to be made first, out of
 * what the model says). On error en keeps its models. */
int engine_open_library(struct engine *en, const struct engine_opts *o, struct err *e);
void engine_close(struct engine *en);

#endif
