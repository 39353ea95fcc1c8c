/* json_out.h - results and answers as JSON, in the one shape that commands, service and tests share (docs/api.md).
 * Every function returns a new reference (json_decref), NULL when memory is out. Text that is not UTF-8 (paths) gets
 * U+FFFD for bad bytes. */
#ifndef DOCENT_COORDINATOR_JSON_OUT_H
#define DOCENT_COORDINATOR_JSON_OUT_H

#include <jansson.h>

#include "coordinator/engine.h"
#include "coordinator/query.h"

json_t *json_results(const struct query *q, const struct results *r);
json_t *json_citation(const struct citation *c);
/* en names the models that answered; NULL: left out. */
json_t *json_answer(const struct engine *en, const struct answer *a);
json_t *json_steps(const struct steps *s);
/* A number with few enough digits to read: rounded to the given decimals. */
json_t *json_round(double v, int decimals);

#endif
