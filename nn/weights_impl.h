/* weights_impl.h - what weights.c and the format readers share. Inside nn only. */
#ifndef DOCENT_NN_WEIGHTS_IMPL_H
#define DOCENT_NN_WEIGHTS_IMPL_H

#include "base/file.h"
#include "base/mem.h"
#include "nn/weights.h"

#define WEIGHTS_MAX_FILES 1024

struct gguf_meta; /* gguf.c */

struct weights {
    char *path;
    struct file_map *maps; /* [n_maps] */
    size_t n_maps;
    struct tensor *tensors; /* [n_tensors], sorted by name (strcmp) for weights_find */
    size_t n_tensors;
    struct arena names; /* tensor names and other small things */
    struct gguf_meta *meta; /* NULL for safetensors */
};

/* Each adds its tensors to w, which has path and an initialised arena; on error the caller frees w.
 */
int safetensors_open(struct weights *w, const char *path, struct err *e); /* file or folder */
int gguf_open(struct weights *w, const char *path, struct err *e);
void gguf_meta_free(struct gguf_meta *m); /* NULL is fine */

#endif
