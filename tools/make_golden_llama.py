#!/usr/bin/env python3
"""Makes tests/golden/llama-tiny: a random llama in GGUF (F32, Q4_1, Q8_0) with a small byte-level
BPE vocabulary, the logits that its dequantised weights give (computed here in numpy, float64), and
token ids of awkward texts under four pre-tokenizers by Hugging Face tokenizers.

    python3 tools/make_golden_llama.py tests/golden/llama-tiny     (needs numpy and tokenizers)

The numpy model is written from the architecture's description with half-split rotary positions; the
files hold q and k permuted to neighbouring pairs, as GGUF has them for llama.
"""
import json
import struct
import sys

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SEED = 20240611
LAYERS, HIDDEN, HEADS, KV, FFN, VOCAB = 2, 32, 4, 2, 64, 320
DIM = HIDDEN // HEADS
EPS, BASE, CONTEXT = 1e-5, 10000.0, 256

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
            "{{ '<|im_start|>system\nYou answer from the pages given.<|im_end|>\n' }}{% endif %}"
            "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

CORPUS = """The ferry leaves the harbour at six in the morning and comes back at noon.
A permit is needed for the lower gate; the upper gate stays open until nine.
The keeper wrote the date, the weight and the number of the crate into the book.
In the year 1987 the bridge was closed for 14 weeks, and the road for 6 more.
They're sure that it's the same key, but we'll see what she'd say and what I've got.
Der Schlüssel liegt im Büro. La clé est dans le café. El niño no está aquí.
if (count > limit) { return count - limit; } /* never below zero */
"""

TEXTS = [
    "", " ", "  ", "\n", "a", " a", "a ", "The ferry leaves at 6:30.",
    "It's they're I'VE we'll she'D 'S 'x ' s", "don't DON'T can’t",
    "1 12 123 1234 12345 1987-06-14", "x1y22z333", "½ ² Ⅷ ٣٤٥ 七八九",
    "tabs\tand\t\ttabs", "line\nline\n\nline\r\nline", "  two  blanks   three    four ",
    "end \n", "end\n ", " \n \n x", "!!! ... ?!\n\n(a)", "a.b.c, d;e:f", "$5.00 + 10% = ?",
    "Schlüssel Büro café niño", "Cafe\u0301 nin\u0303o A\u030a \u1100\u1161\u11a8",
    "数据 データ 데이터 данные", "🙂 👩‍👩‍👧 🇫🇷", "e\u0301\u0323\u0302", "\u00a0nbsp\u3000wide\u2028sep",
    "zero\u200bwidth \u00ad soft", "if (a>b) { return a-b; } // x", "'\u017ft '\u017f",
    "<|im_start|>user<|im_end|>", "a" * 40, " " * 20 + "x", "ab" * 30 + "\n" * 5,
]


def trained():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(CORPUS.splitlines(), trainer)
    return tok


def piece_ends(t, s):
    """Byte offsets of the ends of the pieces; None where the normalizer changes the text."""
    if t.normalizer and t.normalizer.normalize_str(s) != s:
        return None
    return [len(s[:end].encode()) for _, (_, end) in t.pre_tokenizer.pre_tokenize_str(s)]


def with_pre(tok, name):
    t = Tokenizer.from_str(tok.to_str())
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if name == "gpt2":
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif name in ("qwen2", "llama3"):
        regex = Regex(QWEN2 if name == "qwen2" else LLAMA3)
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(regex, "isolated"), plain])
    if name == "qwen2":
        t.normalizer = normalizers.NFC()
    return t


# ---- GGUF ----

def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(v):
    if isinstance(v, bool):
        return struct.pack("<IB", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + text(v)
    if isinstance(v[0], str):
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(text, v))
    return struct.pack("<IIQ", 9, 5, len(v)) + struct.pack("<%di" % len(v), *v)


def f16(x):
    return np.float16(x)


def q4_1(w):
    """Blocks of 32: d, m in halves; 16 bytes of two values. Returns bytes and the values kept."""
    b = w.reshape(-1, 32)
    m = f16(b.min(1))
    d = f16((b.max(1) - b.min(1)) / 15)
    q = np.clip(np.rint((b - m[:, None].astype(float)) / d[:, None].astype(float)), 0, 15).astype(np.uint8)
    raw = b"".join(d[i].tobytes() + m[i].tobytes() + (q[i, :16] | q[i, 16:] << 4).tobytes()
                   for i in range(len(b)))
    return raw, (q * d[:, None].astype(float) + m[:, None].astype(float)).reshape(w.shape)


def q8_0(w):
    b = w.reshape(-1, 32)
    d = f16(np.abs(b).max(1) / 127)
    q = np.clip(np.rint(b / d[:, None].astype(float)), -127, 127).astype(np.int8)
    raw = b"".join(d[i].tobytes() + q[i].tobytes() for i in range(len(b)))
    return raw, (q * d[:, None].astype(float)).reshape(w.shape)


def f32(w):
    v = w.astype(np.float32)
    return v.tobytes(), v.astype(float)


TYPES = {"f32": (0, f32), "q4_1": (3, q4_1), "q8_0": (8, q8_0)}


def permute(w, heads):
    """Rows of each head from (i, i + d/2) pairs to neighbouring ones."""
    return w.reshape(heads, 2, DIM // 2, -1).swapaxes(1, 2).reshape(w.shape)


def unpermute(w, heads):
    return w.reshape(heads, DIM // 2, 2, -1).swapaxes(1, 2).reshape(w.shape)


def write_gguf(path, kv, tensors):
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(kv))
    head += b"".join(text(k) + value(v) for k, v in kv)
    data = b""
    for name, shape, kind, raw in tensors:
        dims = shape[::-1]
        head += text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, len(data))
        data += raw + b"\0" * (-len(raw) % 32)
    head += b"\0" * (-len(head) % 32)
    with open(path, "wb") as f:
        f.write(head + data)


# ---- the model ----

def norm(x, w):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * w


def rope(x):
    """x: [T, heads, DIM]"""
    freq = np.float32(1) / np.float32(BASE) ** (np.arange(0, DIM, 2, dtype=np.float32) / DIM)
    angle = np.arange(len(x))[:, None] * freq[None, :].astype(float)
    c, s = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
    a, b = x[..., :DIM // 2], x[..., DIM // 2:]
    return np.concatenate([a * c - b * s, b * c + a * s], -1)


def forward(w, ids):
    x = w["token_embd.weight"][ids]
    T = len(ids)
    mask = np.triu(np.full((T, T), -np.inf), 1)
    for i in range(LAYERS):
        def get(n):
            return w["blk.%d.%s.weight" % (i, n)]
        h = norm(x, get("attn_norm"))
        q = rope((h @ unpermute(get("attn_q"), HEADS).T).reshape(T, HEADS, DIM))
        k = rope((h @ unpermute(get("attn_k"), KV).T).reshape(T, KV, DIM))
        v = (h @ get("attn_v").T).reshape(T, KV, DIM)
        out = np.empty((T, HEADS, DIM))
        for n in range(HEADS):
            s = q[:, n] @ k[:, n * KV // HEADS].T / np.sqrt(DIM) + mask
            p = np.exp(s - s.max(-1, keepdims=True))
            out[:, n] = p / p.sum(-1, keepdims=True) @ v[:, n * KV // HEADS]
        x = x + out.reshape(T, HIDDEN) @ get("attn_output").T
        h = norm(x, get("ffn_norm"))
        g = h @ get("ffn_gate").T
        x = x + (g / (1 + np.exp(-g)) * (h @ get("ffn_up").T)) @ get("ffn_down").T
    return norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T


def random_weights():
    rng = np.random.default_rng(SEED)
    w = {"token_embd.weight": rng.normal(0, 1.0, (VOCAB, HIDDEN)),
         "output_norm.weight": 1 + rng.uniform(-0.25, 0.25, HIDDEN)}
    shapes = {"attn_q": (HIDDEN, HIDDEN), "attn_k": (KV * DIM, HIDDEN), "attn_v": (KV * DIM, HIDDEN),
              "attn_output": (HIDDEN, HIDDEN), "ffn_gate": (FFN, HIDDEN), "ffn_up": (FFN, HIDDEN),
              "ffn_down": (HIDDEN, FFN)}
    for i in range(LAYERS):
        for n, s in shapes.items():
            m = rng.normal(0, 1.6 / np.sqrt(s[1]), s)
            if n in ("attn_q", "attn_k"):
                m = permute(m, HEADS if n == "attn_q" else KV)
            w["blk.%d.%s.weight" % (i, n)] = m
        for n in ("attn_norm", "ffn_norm"):
            w["blk.%d.%s.weight" % (i, n)] = 1 + rng.uniform(-0.25, 0.25, HIDDEN)
    return w


def main(out):
    tok = trained()
    tok.save(out + "/tokenizer.json", pretty=False)
    spec = json.loads(tok.to_str())
    vocab = sorted(spec["model"]["vocab"], key=spec["model"]["vocab"].get)
    assert len(vocab) == VOCAB
    merges = [m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]]
    kv = [("general.architecture", "llama"), ("general.name", "tiny"),
          ("llama.context_length", CONTEXT), ("llama.embedding_length", HIDDEN),
          ("llama.block_count", LAYERS), ("llama.feed_forward_length", FFN),
          ("llama.attention.head_count", HEADS), ("llama.attention.head_count_kv", KV),
          ("llama.attention.layer_norm_rms_epsilon", EPS), ("llama.rope.freq_base", BASE),
          ("llama.rope.dimension_count", DIM),
          ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "smollm"),
          ("tokenizer.ggml.tokens", vocab),
          ("tokenizer.ggml.token_type", [3 if t in SPECIALS else 1 for t in vocab]),
          ("tokenizer.ggml.merges", merges), ("tokenizer.ggml.bos_token_id", 1),
          ("tokenizer.ggml.eos_token_id", 2), ("tokenizer.ggml.add_bos_token", False),
          ("tokenizer.chat_template", TEMPLATE)]
    weights = random_weights()
    ids = tok.encode("The ferry leaves the harbour at 6, they're sure.").ids
    golden = {"seed": SEED, "ids": ids, "files": {}}
    for name, (kind, pack) in TYPES.items():
        kept, tensors = {}, []
        for n, w in weights.items():
            k, p = (kind, pack) if w.ndim == 2 else TYPES["f32"]
            raw, kept[n] = p(w)
            tensors.append((n, w.shape, k, raw))
        write_gguf("%s/%s.gguf" % (out, name), kv, tensors)
        logits = forward(kept, ids)
        greedy = list(ids)
        gaps = []
        for _ in range(16):
            row = np.sort(forward(kept, greedy)[-1])
            gaps.append(float(row[-1] - row[-2]))
            greedy.append(int(np.argmax(forward(kept, greedy)[-1])))
        golden["files"][name] = {
            "best": [int(i) for i in logits.argmax(-1)],
            "best_logit": [round(float(v), 5) for v in logits.max(-1)],
            "last": [round(float(v), 5) for v in logits[-1]],
            "greedy": greedy[len(ids):], "least_gap": round(min(gaps), 4)}
        print(name, "least gap on the greedy path", min(gaps))
    with open(out + "/golden.json", "w") as f:
        json.dump(golden, f, separators=(",", ":"))
    cases = {}
    for name in ("gpt2", "smollm", "qwen2", "llama3"):
        t = with_pre(tok, name)
        spec = json.loads(t.to_str())
        t.encode_special_tokens = True  # a text that spells a special token is text
        cases[name] = {"pre_tokenizer": spec["pre_tokenizer"], "normalizer": spec["normalizer"],
                       "cases": [[s, t.encode(s).ids, piece_ends(t, s)] for s in TEXTS]}
    with open(out + "/ids.json", "w") as f:
        json.dump(cases, f, separators=(",", ":"))


main(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/llama-tiny")
