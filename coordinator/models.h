/* models.h - where the models of this machine are. */
#ifndef DOCENT_COORDINATOR_MODELS_H
#define DOCENT_COORDINATOR_MODELS_H

#include <stddef.h>

#define MODEL_EMBEDDER "all-MiniLM-L6-v2"
#define MODEL_GENERATOR "SmolLM2-135M-Instruct.Q4_1.gguf"

/* Finds name (a path with '/', or a name below one of the model folders: dir when given, else $DOCENT_MODELS,
 * ./models, models beside the program's folder, ~/.local/share/docent/models). 1: path holds it. 0: not there; path then
 * lists the places that were looked at. */
int model_find(const char *dir, const char *name, char *path, size_t n);

#endif
