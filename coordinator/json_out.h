/* json_out.h - the JSON shapes that programs read (docs/api: README, "JSON"). New references; NULL: out of memory. */
#ifndef DOCENT_COORDINATOR_JSON_OUT_H
#define DOCENT_COORDINATOR_JSON_OUT_H

#include <jansson.h>

#include "coordinator/query.h"

json_t *results_json(const struct query *q, const struct results *r, int explain);
json_t *answer_json(const struct ask *q, const struct answer *ans, const struct engine *en);
json_t *steps_json(const struct steps *s);

#endif
