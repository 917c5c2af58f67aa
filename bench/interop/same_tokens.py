#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""same_tokens.py MODEL [N]: a saved merge in stock transformers: loads without a warning, tokenizes and generates as evopipe does.

    python3 -m venv V && V/bin/pip install torch transformers && V/bin/python bench/interop/same_tokens.py build/demo.run/mini-evolved

Greedy answers to N prompts of the test split, token by token, and log-probabilities beside each other. Weights are bf16; both sides compute in fp32,
so logits differ by rounding only; where the two best tokens are nearer than that, another token is no fault: such a place is counted apart.
"""
import json, pathlib, subprocess, sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
path, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100
NEAR = 1e-3  # a gap of logits that fp32 cannot be trusted to tell
rows = [json.loads(line) for line in (ROOT / "pipelines/examples/ja-test.jsonl").read_text().splitlines()][:n]
prompts = [f"問題：{r['question']}\n答え：" for r in rows]
ours = [json.loads(line) for line in subprocess.run([ROOT / "build/core/cli/evopipe", "generate", path, *prompts, "--max-tokens", "48", "--json"],
                                                    capture_output=True, text=True, check=True).stdout.splitlines()]
model, report = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
tokenizer = AutoTokenizer.from_pretrained(path)
model.eval()
same = near = tokens = 0
largest = 0.0
for prompt, answer in zip(prompts, ours):
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    assert ids[0].tolist() == answer["prompt"]["ids"], (prompt, ids[0].tolist(), answer["prompt"]["ids"])
    with torch.no_grad():
        out = model.generate(ids, max_new_tokens=48, do_sample=False, output_logits=True, return_dict_in_generate=True)
    theirs = out.sequences[0, ids.shape[1]:].tolist()
    logits = torch.stack([l[0] for l in out.logits])
    first = next((i for i, (a, b) in enumerate(zip(theirs, answer["answer"]["ids"])) if a != b), None)
    agreed = len(theirs) if first is None else first
    logp = torch.log_softmax(logits, -1)
    for i in range(agreed):
        largest = max(largest, abs(logp[i, theirs[i]].item() - answer["answer"]["logprobs"][i]))
    tokens += agreed
    if first is None and len(theirs) == len(answer["answer"]["ids"]):
        same += 1
    elif first is not None and (top := logits[first].topk(2).values) is not None and (top[0] - top[1]).item() < NEAR:
        near += 1
print(f"loading: missing {len(report['missing_keys'])}, unexpected {len(report['unexpected_keys'])}, mismatched {len(report['mismatched_keys'])}")
print(f"{same} of {len(prompts)} answers equal token by token, {near} part where two logits are nearer than {NEAR}; "
      f"{tokens} tokens, largest difference of a log-probability {largest:.2g}")
sys.exit(same + near != len(prompts) or any(report[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")))
