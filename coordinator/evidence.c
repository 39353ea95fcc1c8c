/* evidence.c - the gate: is what was found evidence at all?
 *
 * The fused score cannot say: it is relative, 1 whenever both lists agree on the first passage, however bad. The gate
 * reads two absolute signals of the first passages: the cosine, and BM25 of the question's content words over the most a
 * chunk could get from them (their idf, summed). On development articles (tools/tune_gate.py, squad_v2_dev, 200 questions
 * whose article is in the library and 200 whose is not) their sum has AUROC .987, cosine alone .957, words alone .974; on
 * xquad_zh, which MiniLM cannot read, words alone have .990. No such signal sees a fact that is missing inside the right
 * passage (AUROC .64): a trained reader could. */
#include "coordinator/query_impl.h"

/* Each keeps 95 % of the answerable development questions, and refuses 96, 84 and 96 % of the others. */
#define GATE_BOTH 0.70f /* cosine + share of words */
#define GATE_WORDS 0.265f /* words alone: no embedder */
#define GATE_BIGRAMS 0.12f /* the same for Chinese, Japanese, Korean: half of a question's bigrams straddle two words */

void evidence_of(struct results *out, const float *content_bm25)
{
    out->top_cosine = 0;
    out->top_bm25_share = 0;
    for (uint32_t i = 0; i < out->n && i < EVIDENCE_LOOK; i++) {
        float share = out->idf_sum > 0 ? content_bm25[i] / out->idf_sum : 0;
        out->top_cosine = out->at[i].cosine > out->top_cosine ? out->at[i].cosine : out->top_cosine;
        out->top_bm25_share = share > out->top_bm25_share ? share : out->top_bm25_share;
    }
}

/* Most terms are of a script without spaces: their UTF-8 begins at E3 (Kana), E4-E9 (Han), EA-ED (Hangul). */
static int mostly_bigrams(const struct results *r)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->n_terms; i++)
        n += (unsigned char)r->terms[i].term[0] >= 0xE3 && (unsigned char)r->terms[i].term[0] <= 0xED;
    return 2 * n > r->n_terms;
}

void evidence_gate(const struct results *r, float *evidence, float *threshold)
{
    if (r->dense_weight < 0.3f) {
        *evidence = r->top_bm25_share;
        *threshold = mostly_bigrams(r) ? GATE_BIGRAMS : GATE_WORDS;
    } else {
        *evidence = r->top_cosine + r->top_bm25_share;
        *threshold = GATE_BOTH;
    }
}
