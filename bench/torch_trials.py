#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torch_trials.py - the demo's trial in torch and transformers, as one would write it: merge by layer, generate greedily in batches, compare.

    torch_trials.py ROOT SECONDS THREADS     prints trials per minute and the score of the uniform candidate
"""
import json, pathlib, re, sys, time

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

ROOT, SECONDS, THREADS = pathlib.Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
TINY, BATCH, NEW = ROOT / "models/tiny", 100, 48
torch.set_num_threads(THREADS)
tokenizer = Tokenizer.from_file(str(TINY / "mini-base/tokenizer.json"))
rows = [json.loads(line) for line in (ROOT / "pipelines/examples/ja-evolve.jsonl").read_text().splitlines()]
prompts = sorted(((tokenizer.encode(f"問題：{r['question']}\n答え：").ids, r["answer"]) for r in rows), key=lambda p: len(p[0]))
base, ja, math = ({k: v.float() for k, v in load_file(TINY / n / "model.safetensors").items()} for n in ("mini-base", "mini-ja", "mini-math-en"))
deltas = [{k: v - base[k] for k, v in m.items()} for m in (ja, math)]
model = LlamaForCausalLM.from_pretrained(TINY / "mini-base", dtype=torch.float32).eval()
parameters = dict(model.named_parameters())


def merge(weights):
    """weights[model][group]: group 0 is embedding and final norm, then the layers."""
    for name, p in parameters.items():
        layer = re.match(r"model\.layers\.(\d+)\.", name)
        group = 1 + int(layer[1]) if layer else 0
        p.data.copy_((base[name] + sum(w[group] * d[name] for w, d in zip(weights, deltas))).bfloat16())


@torch.no_grad()
def answers(batch):
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    for i, (prompt, _) in enumerate(batch):
        ids[i, longest - len(prompt):], mask[i, longest - len(prompt):] = torch.tensor(prompt), 1
    position, cache, out = (mask.cumsum(1) - 1).clamp(min=0), None, []
    done = torch.zeros(len(batch), dtype=torch.bool)
    for _ in range(NEW):
        r = model(input_ids=ids, attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True)
        cache, token = r.past_key_values, r.logits[:, -1].argmax(-1)
        out.append(torch.where(done, 2, token))
        done |= token == 2
        if done.all():
            break
        mask = torch.cat([mask, mask.new_ones(len(batch), 1)], 1)
        position, ids = mask.sum(1, keepdim=True) - 1, token[:, None]
    return [tokenizer.decode([t for t in row if t > 2]) for row in torch.stack(out, 1).tolist()]


def score():
    right = 0
    for i in range(0, len(prompts), BATCH):
        batch = prompts[i:i + BATCH]
        for text, (_, gold) in zip(answers(batch), batch):
            numbers = re.findall(r"\d+", text)
            kana, latin = len(re.findall("[\u3041-\u3096\u30a1-\u30fa]", text)), len(re.findall("[A-Za-z]", text))
            right += bool(numbers) and numbers[-1] == gold and kana > latin
    return right / len(prompts)


generator = torch.Generator().manual_seed(1)
merge([[0.8] * 7, [0.8] * 7])
first = score()
n, began = 0, time.perf_counter()
while time.perf_counter() - began < SECONDS:
    merge((torch.rand(2, 7, generator=generator) * 1.6).tolist())
    score()
    n += 1
print(json.dumps(dict(trials_per_minute=60 * n / (time.perf_counter() - began), trials=n, start_score=first, threads=THREADS)))
