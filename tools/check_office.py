#!/usr/bin/env python3
"""Runs docent-extract over the HTML, Word and Markdown files of ../shared/data/office and compares its
words with a reference text.

    tools/check_office.py [--extract build/docent-extract] [--data ../shared/data/office] [--worst 10] [--diff]

Reference: groundtruth/NAME.md, freed of Markdown's signs. F1 is over multisets of words: order, case
and line breaks do not count. A parser that dies, hangs or ends without a status makes the exit code 1."""
import argparse
import collections
import html
import json
import os
import re
import subprocess
import sys
import time
import unicodedata

WORD = re.compile(r"[0-9A-Za-z\u00c0-\u024f\u0370-\u1fff]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
KINDS = {"html": "html", "docx": "docx", "md": "markdown"}


def words(text):
    return collections.Counter(WORD.findall(unicodedata.normalize("NFKC", text).lower()))


def plain(markdown):
    """The text of a reference: comments, link targets and escapes are no words."""
    s = re.sub(r"<!--.*?-->", " ", markdown, flags=re.S)
    s = re.sub(r"\]\([^)\s]*(\s+\"[^\"]*\")?\)", "] ", s)
    s = re.sub(r"\\([\\_*#\[\]()<>`~|-])", r"\1", s)
    return html.unescape(re.sub(r"[*`]|^\s*[-+|:]+\s*$", "", s, flags=re.M))


def extract(program, kind, path, limit_s=30):
    t0 = time.monotonic()
    with open(path, "rb") as f:
        try:
            run = subprocess.run([program, "--json", "--type", kind], stdin=f, capture_output=True,
                                 timeout=limit_s, check=False)
        except subprocess.TimeoutExpired:
            return "", "HUNG", limit_s
    text, status = [], "DIED (exit %d)" % run.returncode
    for line in run.stdout.decode("utf-8", "replace").splitlines():
        o = json.loads(line)
        if "page" in o:
            text.append(o["text"])
        elif "status" in o and not run.returncode:
            status = o["status"]
    return "\n".join(text), status, time.monotonic() - t0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--extract", default="build/docent-extract")
    ap.add_argument("--data", default="../shared/data/office")
    ap.add_argument("--worst", type=int, default=10)
    ap.add_argument("--diff", action="store_true", help="print missing and extra words of the worst")
    a = ap.parse_args()
    bad = 0
    for folder, kind in KINDS.items():
        rows, slowest = [], 0.0
        sources = os.path.join(a.data, folder, "sources")
        for name in sorted(os.listdir(sources)):
            truth = os.path.join(a.data, folder, "groundtruth", name + ".md")
            text, status, wall = extract(a.extract, kind, os.path.join(sources, name))
            slowest = max(slowest, wall)
            if status.isupper() or status.startswith("DIED"):
                bad += 1
                print("%s %s: %s" % (folder, name, status))
            if not os.path.exists(truth):
                continue
            with open(truth, encoding="utf-8") as f:
                ref = words(plain(f.read()))
            ours = words(text)
            common = sum((ours & ref).values())
            score = 2 * common / max(1, sum(ours.values()) + sum(ref.values())) if ours or ref else 1.0
            rows.append((score, name, status, sum(ours.values()), sum(ref.values()), ref - ours, ours - ref))
        if not rows:
            continue
        rows.sort(key=lambda r: (r[0], r[1]))
        print("%s: %d files, mean F1 %.4f, median %.4f, slowest %.2f s" % (
            folder, len(rows), sum(r[0] for r in rows) / len(rows), rows[len(rows) // 2][0], slowest))
        for r in rows[:a.worst]:
            print("  %.3f %-45s %-12s ours %d reference %d" % r[:5])
            if a.diff:
                print("        missing: %s" % " ".join(r[5].elements())[:300])
                print("        extra:   %s" % " ".join(r[6].elements())[:300])
    return 1 if bad else 0


sys.exit(main())
