#!/usr/bin/env python3
"""Prints what docent does on this machine, stage by stage, with the machine and the settings.
Uses ../shared/data where it is there (DOCENT_SHARED), else docs/samples. usage: tools/bench.py BUILD"""
import glob, json, os, resource, shutil, statistics, subprocess, sys, tempfile, time

build = sys.argv[1]
docent = build + "/docent"
shared = os.environ.get("DOCENT_SHARED", "../shared") + "/data"


def run(*words, env=None):
    """wall s, CPU s of it and its children, peak RSS in MB of the largest process, standard output"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    t = time.time()
    p = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    out = p.stdout.read()
    _, status, use = os.wait4(p.pid, 0)
    wall = time.time() - t
    if status:
        sys.exit(f"{' '.join(words)}: exit {status}")
    return wall, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024, out


def row(what, value, note=""):
    print(f"  {what:46} {value:>16}  {note}")


def cpu():
    with open("/proc/cpuinfo") as f:
        text = f.read()
    name = next((x.split(":")[1].strip() for x in text.splitlines() if x.startswith("model name")), "?")
    flags = text.split("flags", 1)[1].split("\n", 1)[0] if "flags" in text else ""
    kinds = [k for k in ("avx2", "avx512f", "avx512_vnni") if k in flags]
    return f"{name}, {os.cpu_count()} cores, {' '.join(kinds)}"


def programs():
    mini, smol = "models/all-MiniLM-L6-v2", "models/SmolLM2-135M-Instruct.Q4_1.gguf"
    texts = tempfile.NamedTemporaryFile("w", suffix=".txt")
    corpus = shared + "/retrieval/scifact/corpus.jsonl"
    if os.path.exists(corpus):  # every 8th of the first 512 documents
        with open(corpus, encoding="utf-8") as f:
            for i, line in enumerate(f):
                if i < 512 and i % 8 == 0:
                    texts.write(json.loads(line)["text"].replace("\n", " ") + "\n")
    else:
        texts.write("\n".join(open("docs/samples/dry-cider.md").read().split("\n\n")).replace("#", "") + "\n")
    texts.flush()
    for name, words in (("bench_embed", [mini, "1", texts.name, "2"]), ("bench_embed", [mini, "2", texts.name, "2"]),
                        ("bench_gen", [smol, "1", "512", "64", "2"]), ("bench_gen", [smol, "2", "512", "64", "2"]),
                        ("bench_index", ["100000"])):
        path = f"{build}/tests/bench/{name}"
        if os.path.exists(path):
            print(f"\n{name} {' '.join(w for w in words if w != texts.name)}")
            sys.stdout.flush()
            subprocess.run([path, *words])


def folder(tmp):
    pdfs = sorted(glob.glob(shared + "/pdf/financebench/*.pdf"))
    if not pdfs:
        return os.path.abspath("docs/samples"), None
    os.mkdir(tmp + "/filings")
    for p in pdfs:
        os.symlink(os.path.abspath(p), tmp + "/filings/" + os.path.basename(p))
    return tmp + "/filings", shared + "/pdf/financebench/questions.jsonl"


def whole(tmp):
    docs, questions = folder(tmp)
    print(f"\nthe whole program over {os.path.basename(docs)}")
    wall, used, rss, out = run(docent, "index", docs, "-L", tmp + "/words", "--embedder", "none", "--json")
    r = json.loads(out)
    row("extract, chunk, words, store: pages/s a core", f"{r['pages'] / used:.1f}", f"{r['pages']} pages, {used:.1f} CPU s with the parsers")
    wall, used, rss, out = run(docent, "index", docs, "-L", tmp + "/lib", "--json")
    r = json.loads(out)
    row("folder to searchable, s", f"{wall:.1f}", f"{r['documents']} documents, {r['chunks']} chunks, {r['tokens_per_s']:.0f} tokens/s")
    row("peak RSS while indexing, MB", f"{rss:.0f}", "the largest process")
    wall, used, rss, out = run(docent, "index", docs, "-L", tmp + "/lib", "--json")
    row("the unchanged folder again, s", f"{wall:.3f}")
    st = json.loads(run(docent, "status", "-L", tmp + "/lib", "--json")[3])
    row("library on disk, bytes a chunk", f"{st['file_bytes'] / max(1, st['chunks']):.0f}", f"{st['file_bytes'] / 1e6:.1f} MB, of it free {st['free_bytes'] / 1e6:.1f} MB")
    cold = [run(docent, "search", "capital expenditure in 2022", "-L", tmp + "/lib", "--json") for _ in range(15)]
    row("cold docent search, ms: p50 / worst of 15", f"{1e3 * statistics.median(c[0] for c in cold):.0f} / {1e3 * max(c[0] for c in cold):.0f}", f"RSS {max(c[2] for c in cold):.0f} MB")
    status = [run(docent, "status", "-L", tmp + "/lib") for _ in range(5)]
    row("docent status, ms / RSS MB", f"{1e3 * statistics.median(c[0] for c in status):.0f} / {max(c[2] for c in status):.0f}")
    if questions:
        e = json.loads(run(docent, "eval", "answers", questions, "-L", tmp + "/lib", "--pages", "--json")[3])
        row("warm hybrid query, ms: p50 / p99", f"{e['p50_ms']:.1f} / {e['p99_ms']:.1f}", "question embedded each time")
    wall, used, rss, out = run(docent, "ask", "What was the capital expenditure?", "-L", tmp + "/lib", "--json")
    row("docent ask, cold, s / RSS MB", f"{wall:.2f} / {rss:.0f}")


print(f"docent bench: {cpu()}")
print(f"commit {subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True).stdout.strip()}, "
      f"kernels {os.environ.get('DOCENT_KERN', 'best')}, load {os.getloadavg()[0]:.1f}")
tmp = tempfile.mkdtemp()
try:
    whole(tmp)
finally:
    shutil.rmtree(tmp)
programs()
