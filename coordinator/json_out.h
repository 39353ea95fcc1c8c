/* json_out.h - results and answers as JSON, in the one shape that commands, service and tests share (docs/api.md).
 * Every function returns a new reference (json_decref), NULL when memory is out. Text that is not UTF-8 (paths) gets
 * U+FFFD for bad bytes. */
#ifndef DOCENT_COORDINATOR_JSON_OUT_H
#define DOCENT_COORDINATOR_JSON_OUT_H

#include <jansson.h>

#include "coordinator/engine.h"
#include "coordinator/query.h"

/* explain: also the query's terms and how every score came about. */
json_t *results_json(const struct query *q, const struct results *r, int explain);
json_t *citation_json(const struct citation *c);
/* en names the models that answered; NULL: left out. */
json_t *answer_json(const struct ask *q, const struct answer *a, const struct engine *en);
json_t *steps_json(const struct steps *s);
/* A number with few enough digits to read: rounded to the given decimals. */
json_t *json_round(double v, int decimals);

#endif
