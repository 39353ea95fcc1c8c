#!/usr/bin/env python3
"""Sets the thresholds of the evidence gate (coordinator/evidence.c) on development data.

Half of the articles of squad_v2_dev and xquad_zh become a library of one text file an article; questions of these
articles are answerable, questions of the other half are not in the library. Prints, per signal, AUROC and the threshold that keeps
95 % of the answerable questions, with the share of the others that it refuses.
usage: tools/tune_gate.py BUILD [N]     (N questions of each kind, default 300)"""
import collections, json, os, random, subprocess, sys, tempfile

build, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300
shared = os.environ.get("DOCENT_SHARED", "../shared")


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(x) for x in f if x.strip()]


def run(*words):
    return subprocess.run([build + "/docent", *words], check=True, capture_output=True, text=True).stdout


def articles(name):
    """passage id -> article; squad has titles, xquad_zh has none: five passages in a row are one article."""
    passages = lines(f"{shared}/data/retrieval/{name}/corpus.jsonl")
    return {p["_id"]: (p.get("title") or f"part {i // 5}") for i, p in enumerate(passages)}, passages


def measure(name, embedder):
    where, passages = articles(name)
    titles = sorted(set(where.values()))
    random.Random(7).shuffle(titles)
    inside = set(titles[: len(titles) // 2])
    texts = collections.defaultdict(list)
    for p in passages:
        if where[p["_id"]] in inside:
            texts[where[p["_id"]]].append(p["text"])
    questions = [q for q in lines(f"{shared}/data/retrieval/{name}/qa.jsonl") if q.get("answers") and q.get("doc") in where]
    random.Random(8).shuffle(questions)
    known = [q for q in questions if where[q["doc"]] in inside][:n]
    foreign = [q for q in questions if where[q["doc"]] not in inside][:n]
    with tempfile.TemporaryDirectory() as tmp:
        os.mkdir(tmp + "/docs")
        for i, t in enumerate(sorted(texts)):
            with open(f"{tmp}/docs/{i}.md", "w", encoding="utf-8") as f:
                f.write(f"# {t}\n\n" + "\n\n".join(texts[t]))
        with open(tmp + "/q.jsonl", "w", encoding="utf-8") as f:
            for q in known + foreign:
                f.write(json.dumps({"question": q["question"], "answers": q["answers"]}) + "\n")
        run("index", tmp + "/docs", "-L", tmp + "/lib", "--embedder", embedder, "-q")
        each = json.loads(run("eval", "answers", tmp + "/q.jsonl", "-L", tmp + "/lib", "--embedder", embedder, "--pages",
                              "--lines", "--json"))["each"]
    return each[: len(known)], each[len(known):]


def report(label, pos, neg):
    pairs = sum((p > q) + 0.5 * (p == q) for p in pos for q in neg)
    at = sorted(pos)[int(0.05 * len(pos))]
    refused = sum(q < at for q in neg) / len(neg)
    print(f"{label:34} n {len(pos)}+{len(neg)}  AUROC {pairs / len(pos) / len(neg):.3f}  threshold {at:.3f}  refuses {refused:.2f}")


for name, embedder in (("squad_v2_dev", "all-MiniLM-L6-v2"), ("squad_v2_dev", "none"), ("xquad_zh", "all-MiniLM-L6-v2")):
    pos, neg = measure(name, embedder)
    report(f"{name} {embedder[:6]} words", [r["top_bm25_share"] for r in pos], [r["top_bm25_share"] for r in neg])
    if embedder != "none":
        report(f"{name} cosine", [r["top_cosine"] for r in pos], [r["top_cosine"] for r in neg])
        report(f"{name} cosine + words", [r["top_cosine"] + r["top_bm25_share"] for r in pos],
               [r["top_cosine"] + r["top_bm25_share"] for r in neg])
