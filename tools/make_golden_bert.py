#!/usr/bin/env python3
"""Makes tests/golden/wordpiece-tiny (ids and offsets of awkward texts by Hugging Face tokenizers, a lower-casing and a cased
tokenizer with one small vocabulary) and tests/golden/bert-tiny (a random BERT with that vocabulary and the vectors that its
weights give, computed here in numpy, float64). Everything follows from SEED.

    python3 tools/make_golden_bert.py tests/golden     (needs numpy and tokenizers)

The numpy model is written from Devlin et al. 2018: post-norm, learned positions, erf GELU; then mean over all tokens and unit
length, as the sentence-transformers folders say. Matrices are stored as F16 (what they hold is exact), vectors as F32.
"""
import json
import math
import os
import struct
import sys

import numpy as np
from tokenizers import Tokenizer

SEED = 20240612
LAYERS, HIDDEN, HEADS, FFN, POSITIONS, WINDOW = 2, 64, 4, 96, 64, 48
EPS = 1e-12

WORDS = """the ferry leaves at six bridge harbour a permit is needed for lower gate keeper wrote date weight number crate
of in year 1987 closed weeks road key cafe nino schlussel buro don we ll it s The Gate Permit
un ##able ##ing ##ed ##er ##s ##ly ##ment ##ness ##tion ##est port ##al""".split()


def vocabulary():
    v = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    v += list(letters) + ["##" + c for c in letters]
    v += list("ABCDEFG") + list("!\"#$%&'()*+,-./:;<=>?@[]{}_~|") + list("é中文の√°—’“”…") + ["##é", "##°", "##ß", "##中"]
    return list(dict.fromkeys(v + WORDS))


TEXTS = [
    "", " ", "\t\n ", "a", "The ferry leaves the harbour at six.", "UNABLE unporting gates; permits?", "don't we'll it's",
    "1987 19871987 6:30", "café Café CAFÉ cafe\u0301 niño Schlüssel BÜRO", "É é ß ẞ", "中文 の中 a中b文c", "√2 = 1.41° — “x” … ’",
    "zero\u200bwidth so\u00adft \u00a0nbsp\u3000wide\u2028sep", "\x00\x01\x7f\ufffd a\x00b", "İstanbul ǅ ﬁ ª",
    "e\u0301\u0323\u0302x \u0301", "🙂 a🙂b 👩‍👩‍👧", "[CLS] [MASK] x [SEP]", "##s s ##", "a-b--c...d", "a" * 99, "a" * 100, "a" * 101,
    "b" * 300 + " ferry", "ferry " * 60, "\u1100\u1161\u11a8 한글 हिन्दी ไทย", "x\u0903y \u0488z", "$5.00 + 10% = ?`^", "\ue000\uf8ff a\u0600b",
    "𝔘𝔫𝔦 𠀀a", "a\u0300" * 50, "_under_score_ ~tilde~ |bar|",
]


def tokenizer_json(vocab, lower):
    special = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for i, t in enumerate(vocab[:5])]
    piece = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": {"max_length": 16, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": lower},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]")],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                           "special_tokens": {t: {"id": t, "ids": [vocab.index(t)], "tokens": [t]} for t in ("[CLS]", "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {t: i for i, t in enumerate(vocab)}},
    }


def plain_tokenizer(spec):
    """Without special tokens inside texts, as docent reads them, and without the file's truncation and padding."""
    tok = Tokenizer.from_str(json.dumps({**spec, "added_tokens": [], "truncation": None, "padding": None, "post_processor": None}))
    return lambda text: tok.encode(text, add_special_tokens=False)


def byte_offsets(text, pairs):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[a], at[b]] for a, b in pairs]


def write(path, obj):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        json.dump(obj, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


def wordpiece(out, vocab):
    for name, lower in (("uncased", True), ("cased", False)):
        spec = tokenizer_json(vocab, lower)
        encode = plain_tokenizer(spec)
        write(f"{out}/wordpiece-tiny/{name}/tokenizer.json", spec)
        cases = []
        for text in TEXTS:
            e = encode(text)
            cases.append({"text": text, "ids": e.ids, "offsets": byte_offsets(text, e.offsets)})
        write(f"{out}/wordpiece-tiny/{name}/ids.json", cases)


def tensors(rng, n_vocab):
    t = {}
    def matrix(name, n, k, size):
        t[name + ".weight"] = (rng.standard_normal((n, k)) * size).astype(np.float16)
    def linear(name, n, k):
        matrix(name, n, k, 1.2 / math.sqrt(k))
        t[name + ".bias"] = (rng.standard_normal(n) * 0.1).astype(np.float32)
    def norm(name):
        t[name + ".weight"] = (1 + rng.standard_normal(HIDDEN) * 0.1).astype(np.float32)
        t[name + ".bias"] = (rng.standard_normal(HIDDEN) * 0.1).astype(np.float32)
    matrix("embeddings.word_embeddings", n_vocab, HIDDEN, 1)
    matrix("embeddings.position_embeddings", POSITIONS, HIDDEN, 0.3)
    matrix("embeddings.token_type_embeddings", 2, HIDDEN, 0.3)
    norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        p = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            linear(p + "attention.self." + part, HIDDEN, HIDDEN)
        linear(p + "attention.output.dense", HIDDEN, HIDDEN)
        norm(p + "attention.output.LayerNorm")
        linear(p + "intermediate.dense", FFN, HIDDEN)
        linear(p + "output.dense", HIDDEN, FFN)
        norm(p + "output.LayerNorm")
    return t


def forward(t, ids):
    w = {k: v.astype(np.float64) for k, v in t.items()}
    erf = np.vectorize(math.erf)
    lin = lambda x, n: x @ w[n + ".weight"].T + w[n + ".bias"]
    def norm(x, n):
        mean = x.mean(-1, keepdims=True)
        return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + EPS) * w[n + ".weight"] + w[n + ".bias"]
    e = "embeddings."
    x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][:len(ids)] + w[e + "token_type_embeddings.weight"][0]
    x = norm(x, e + "LayerNorm")
    split = lambda y: y.reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
    for i in range(LAYERS):
        p = f"encoder.layer.{i}."
        q, k, v = (split(lin(x, p + "attention.self." + n)) for n in ("query", "key", "value"))
        s = q @ k.transpose(0, 2, 1) / math.sqrt(HIDDEN // HEADS)
        s = np.exp(s - s.max(-1, keepdims=True))
        y = (s / s.sum(-1, keepdims=True)) @ v
        x = norm(lin(y.transpose(1, 0, 2).reshape(len(ids), HIDDEN), p + "attention.output.dense") + x, p + "attention.output.LayerNorm")
        h = lin(x, p + "intermediate.dense")
        x = norm(lin(h / 2 * (1 + erf(h / math.sqrt(2))), p + "output.dense") + x, p + "output.LayerNorm")
    v = x.mean(0)
    return v / np.linalg.norm(v)


def save(path, t):
    header, blob = {"__metadata__": {"format": "pt"}}, b""
    for name, v in t.items():
        raw = v.tobytes()
        header[name] = {"dtype": "F16" if v.dtype == np.float16 else "F32", "shape": list(v.shape), "data_offsets": [len(blob), len(blob) + len(raw)]}
        blob += raw
    head = json.dumps(header, separators=(",", ":")).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + blob)


def bert(out, vocab):
    d = f"{out}/bert-tiny"
    spec = tokenizer_json(vocab, True)
    encode = plain_tokenizer(spec)
    t = tensors(np.random.default_rng(SEED), len(vocab))
    write(f"{d}/tokenizer.json", spec)
    write(f"{d}/config.json", {"model_type": "bert", "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS,
                               "intermediate_size": FFN, "vocab_size": len(vocab), "max_position_embeddings": POSITIONS,
                               "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": EPS})
    write(f"{d}/sentence_bert_config.json", {"max_seq_length": WINDOW, "do_lower_case": False})
    write(f"{d}/1_Pooling/config.json", {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
                                         "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False})
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    write(f"{d}/modules.json", [{"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
                                for i, (path, kind) in enumerate(kinds)])
    save(f"{d}/model.safetensors", t)
    cases = []
    for text in TEXTS:
        ids = encode(text).ids
        all_ids = [2] + ids[:WINDOW - 2] + [3]
        cases.append({"text": text, "n_tokens": len(all_ids), "unknown": all_ids.count(1), "truncated": int(len(ids) > WINDOW - 2),
                      "embedding": [float(f"{x:.9g}") for x in forward(t, all_ids)]})
    write(f"{d}/golden.json", cases)


if __name__ == "__main__":
    words = vocabulary()
    wordpiece(sys.argv[1], words)
    bert(sys.argv[1], words)
    print(len(words), "tokens")
