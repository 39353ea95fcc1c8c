#!/usr/bin/env python3
"""Runs docent-extract over every PDF of ../shared/data and compares its words with a reference text.

    tools/check_extract.py [--extract build/docent-extract] [--data ../shared/data] [--worst 15] [--only WORD]

Reference: pdf/reftext (pdftotext of poppler 22.12); for financebench, which has none, the evidence
passages of its questions, searched on the page that the question names. F1 is over multisets of
words: order, case and line breaks do not count, characters do. Every file must end with a status
before the limit; a parser that dies or hangs makes the exit code 1."""
import argparse
import collections
import json
import os
import re
import resource
import subprocess
import sys
import time
import unicodedata

WORD = re.compile(r"[0-9A-Za-z\u00c0-\u024f\u0370-\u1fff]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def words(text):
    """Words as both sides spell them: compatibility forms unified, hyphens at line ends undone."""
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "")
    text = re.sub(r"(\w)[-\u2010]\s*\n\s*(?=\w)", r"\1", text)
    text = re.sub(r"(?<=\w)[-\u2010](?=\w)", "", text)
    return collections.Counter(WORD.findall(text.lower()))


def f1(ours, ref):
    common = sum((ours & ref).values())
    if not common:
        return 1.0 if not ours and not ref else 0.0
    p, r = common / sum(ours.values()), common / sum(ref.values())
    return 2 * p * r / (p + r)


def extract(program, path, limit_s):
    """Pages {number: text}, the status line, wall seconds."""
    t0 = time.monotonic()
    with open(path, "rb") as f:
        try:
            run = subprocess.run([program, "--json", "--type", "pdf"], stdin=f, capture_output=True,
                                 timeout=limit_s, check=False)
        except subprocess.TimeoutExpired:
            return {}, {"status": "HUNG", "reason": "no end after %d s" % limit_s}, limit_s
    wall = time.monotonic() - t0
    pages, end, err = {}, None, run.stderr.decode("utf-8", "replace")
    for line in run.stdout.decode("utf-8", "replace").splitlines():
        try:
            o = json.loads(line)
        except ValueError:
            continue
        if "page" in o:
            pages[o["page"]] = o
        elif "status" in o:
            end = o
    if end is None or run.returncode:
        end = {"status": "DIED", "reason": "exit code %d %s" % (run.returncode, err[-300:].strip())}
    elif "Sanitizer" in err or "runtime error" in err:
        end = dict(end, status="DIED", reason=err[:300])
    return pages, end, wall


def boxes_wrong(pages):
    """Boxes that do not lie in the page, do not ascend or do not start and end at words."""
    wrong = 0
    for o in pages.values():
        raw, before = o["text"].encode(), 0
        for start, end, x0, y0, x1, y1 in o["boxes"]:
            word = raw[start:end]
            if not (before <= start < end <= len(raw)) or not word.strip() or b"\n" in word:
                wrong += 1
            elif not (-0.01 <= x0 <= x1 <= 1.01 and -0.01 <= y0 <= y1 <= 1.01):
                wrong += 1
            before = start
    return wrong


def reftexts(folder):
    """Basename -> (text, exit code of the reference program)."""
    found = {}
    with open(os.path.join(folder, "index.tsv"), encoding="utf-8") as f:
        head = f.readline().rstrip("\n").split("\t")
        for line in f:
            row = dict(zip(head, line.rstrip("\n").split("\t")))
            name = os.path.splitext(os.path.basename(row["file"]))[0]
            path = os.path.join(folder, name + ".txt")
            text = open(path, encoding="utf-8", errors="replace").read() if os.path.exists(path) else ""
            found[name] = (text, row)
    return found


def evidence(folder, got):
    """Share of the words of each evidence passage that stand on the page it comes from."""
    shares = []
    path = os.path.join(folder, "questions.jsonl")
    if not os.path.exists(path):
        return shares
    for line in open(path, encoding="utf-8"):
        q = json.loads(line)
        for ev in q.get("evidence", []):
            name = ev.get("doc_name", ev.get("evidence_doc_name", q.get("doc_name", "")))
            pages = got.get(name)
            text = ev.get("evidence_text", "")
            page = ev.get("evidence_page_num")
            if pages is None or not text or page is None:
                continue
            want = words(text)
            have = words(pages.get(page + 1, {"text": ""})["text"])
            share = sum((want & have).values()) / max(1, sum(want.values()))
            shares.append((share, name, page + 1))
    return shares


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("--extract", default="build/docent-extract")
    ap.add_argument("--data", default="../shared/data")
    ap.add_argument("--worst", type=int, default=15)
    ap.add_argument("--only", default="", help="only paths with this in them")
    ap.add_argument("--limit", type=int, default=120, help="seconds a file")
    ap.add_argument("--tsv", help="write a line a file here")
    o = ap.parse_args()
    root = os.path.join(o.data, "pdf")
    if not os.path.isdir(root):
        sys.exit("no test material in %s" % root)
    refs = reftexts(os.path.join(root, "reftext"))
    rows, groups, finance = [], {}, {}
    bad_boxes = 0
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(n for n in names if n.lower().endswith(".pdf")):
            path = os.path.join(folder, name)
            if o.only not in path:
                continue
            group = os.path.relpath(path, root).split(os.sep)[0]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            pages, end, wall = extract(o.extract, path, o.limit)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            bad_boxes += boxes_wrong(pages)
            base = os.path.splitext(name)[0]
            text = "\n".join(pages[k]["text"] for k in sorted(pages))
            score = None
            if group == "financebench":
                finance[base] = pages
            elif base in refs:
                score = f1(words(text), words(refs[base][0]))
            rows.append((score, group, base, end, len(pages), cpu, wall, len(text)))
            groups.setdefault(group, []).append(rows[-1])
    print("%-14s %5s %6s %8s %7s %9s %8s %7s" % ("folder", "files", "pages", "pages/s", "MiB max",
                                                "mean F1", "F1<0.9", "hidden"))
    for group, rs in groups.items():
        scores = [r[0] for r in rs if r[0] is not None]
        pages, cpu = sum(r[4] for r in rs), sum(r[5] for r in rs)
        print("%-14s %5d %6d %8.1f %7.0f %9s %8d %7d" % (
            group, len(rs), pages, pages / max(cpu, 1e-9),
            max(r[3].get("peak_bytes", 0) for r in rs) / 2**20,
            "%.4f" % (sum(scores) / len(scores)) if scores else "-", sum(s < 0.9 for s in scores),
            sum(r[3].get("hidden_chars", 0) for r in rs)))
    status = collections.Counter(r[3]["status"] for r in rows)
    print("status:", ", ".join("%s %d" % kv for kv in status.most_common()))
    print("boxes wrong: %d" % bad_boxes)
    shares = sorted(evidence(os.path.join(root, "financebench"), finance))
    if shares:
        print("financebench evidence: %d passages, mean share of words on the page %.4f, below 0.9: %d" % (
            len(shares), sum(s[0] for s in shares) / len(shares), sum(s[0] < 0.9 for s in shares)))
        for share, name, page in shares[:5]:
            print("  %.3f %s page %d" % (share, name, page))
    print("worst files:")
    for r in sorted((r for r in rows if r[0] is not None), key=lambda r: r[0])[:o.worst]:
        print("  %.3f %-12s %-50s %-10s %s" % (r[0], r[1], r[2][:50], r[3]["status"],
                                               r[3].get("reason", "")[:60]))
    slow = sorted(rows, key=lambda r: -r[6])[:5]
    print("slowest:", ", ".join("%s %.1f s (%d pages)" % (r[2][:30], r[6], r[4]) for r in slow))
    if o.tsv:
        with open(o.tsv, "w", encoding="utf-8") as f:
            for r in rows:
                f.write("%s\t%s\t%s\t%s\t%s\t%d\t%.2f\t%s\t%s\n" % (
                    r[1], r[2], "" if r[0] is None else "%.4f" % r[0], r[3]["status"],
                    r[3].get("reason", ""), r[4], r[6], r[3].get("hidden_chars"), r[3].get("peak_bytes")))
    return 1 if status["DIED"] or status["HUNG"] or bad_boxes else 0


if __name__ == "__main__":
    sys.exit(main())
