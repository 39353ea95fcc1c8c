/* engine.c - opens library and models for a command (see engine.h). */
#include "coordinator/engine.h"

#include <stdio.h>
#include <string.h>

#include "coordinator/models.h"

static int wanted(const char *name)
{
    return !name || strcmp(name, "none") != 0;
}

static int open_embedder(struct engine *en, const struct engine_opts *o, struct err *e)
{
    struct embedder_opts eo = {.team = en->team};
    const char *name = o->embedder ? o->embedder : MODEL_EMBEDDER;
    char path[4096];
    int rc;

    if (!o->want_embedder)
        return 0;
    if (!wanted(o->embedder)) {
        snprintf(en->embedder_why, sizeof en->embedder_why, "no embedder was asked for");
        return 0;
    }
    if (!model_find(o->models, name, path, sizeof path)) {
        if (o->embedder)
            return err_set(e, ERR_NOTFOUND, "embedding model %s is not in %s", name, path);
        snprintf(en->embedder_why, sizeof en->embedder_why,
                 "no embedding model (%s): keyword search only; `make models` brings it", name);
        return 0;
    }
    rc = embedder_open(&en->emb, path, &eo, e);
    return rc ? err_wrap(e, "embedding model") : 0;
}

static int open_generator(struct engine *en, const struct engine_opts *o, struct err *e)
{
    struct generator_opts go = {.team = en->team};
    const char *name = o->generator ? o->generator : MODEL_GENERATOR;
    char path[4096];
    int rc;

    if (!o->want_generator)
        return 0;
    if (!wanted(o->generator)) {
        snprintf(en->generator_why, sizeof en->generator_why, "no generator was asked for");
        return 0;
    }
    if (!model_find(o->models, name, path, sizeof path)) {
        if (o->generator)
            return err_set(e, ERR_NOTFOUND, "language model %s is not in %s", name, path);
        snprintf(en->generator_why, sizeof en->generator_why,
                 "no language model (%s): extractive answers only; `make models` brings it", name);
        return 0;
    }
    rc = generator_open(&en->gen, path, &go, e);
    return rc ? err_wrap(e, "language model") : 0;
}

/* A library made with another embedder cannot be searched with this one's vectors: say what to do. */
static int check_embedder(struct engine *en, const struct engine_opts *o, struct err *e)
{
    const struct library_conf *c = library_conf(en->lib);
    int writing = o->lib_flags & LIB_WRITE;

    if (!o->want_embedder)
        return 0;
    if (c->dim == 0) {
        if (en->emb)
            snprintf(en->embedder_why, sizeof en->embedder_why,
                     "this library was made without an embedding model: keyword search only; index "
                     "the files into a new library (-L DIR) for hybrid search");
        embedder_close(en->emb);
        en->emb = NULL;
        return 0;
    }
    if (!en->emb) {
        if (writing)
            return err_set(e, ERR_VERSION,
                           "library %s has vectors of %s, but that model is not here: run `make "
                           "models` or give --models DIR, or index into another library (-L DIR)",
                           library_dir(en->lib), c->embedder_name);
        return 0;
    }
    if (strcmp(c->embedder, embedder_info(en->emb)->id) != 0)
        return err_set(e, ERR_VERSION,
                       "library %s was made with the embedding model %s (%.12s), not with %s "
                       "(%.12s): give --embedder %s, or index into another library (-L DIR)",
                       library_dir(en->lib), c->embedder_name, c->embedder,
                       embedder_info(en->emb)->name, embedder_info(en->emb)->id,
                       c->embedder_name);
    return 0;
}

int engine_open(struct engine *en, const struct engine_opts *o, struct err *e)
{
    int rc = 0;

    memset(en, 0, sizeof *en);
    if (o->library)
        rc = library_open(&en->lib, o->library, o->lib_flags, e);
    if (!rc && (o->want_embedder || o->want_generator))
        rc = team_open(&en->team, o->threads, e);
    if (!rc)
        rc = open_embedder(en, o, e);
    if (!rc)
        rc = open_generator(en, o, e);
    if (!rc && en->lib)
        rc = check_embedder(en, o, e);
    if (rc)
        engine_close(en);
    return rc;
}

int engine_open_library(struct engine *en, const struct engine_opts *o, struct err *e)
{
    int rc = library_open(&en->lib, o->library, o->lib_flags, e);

    return rc ? rc : check_embedder(en, o, e);
}

void engine_close(struct engine *en)
{
    generator_close(en->gen);
    embedder_close(en->emb);
    library_close(en->lib);
    team_close(en->team);
    en->gen = NULL;
    en->emb = NULL;
    en->lib = NULL;
    en->team = NULL;
}
