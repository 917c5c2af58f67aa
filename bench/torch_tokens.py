#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torch_tokens.py MODEL THREADS BATCH PROMPT NEW: tokens per second of transformers on random prompts; prefill and decode apart; bf16 weights."""
import json, sys, time

import torch
from transformers import AutoModelForCausalLM

path, threads, batch, prompt, new = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
results = {}
for dtype in (torch.float32, torch.bfloat16):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()
    ids = torch.randint(3, model.config.vocab_size, (batch, prompt), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model(ids[:, :8])
        began = time.perf_counter()
        r = model(ids, use_cache=True, logits_to_keep=1)
        middle = time.perf_counter()
        for _ in range(new):
            r = model(r.logits[:, -1:].argmax(-1), past_key_values=r.past_key_values, use_cache=True)
        end = time.perf_counter()
    results[str(dtype).split(".")[1]] = dict(prefill=batch * prompt / (middle - began), decode=batch * new / (end - middle))
    del model
print(json.dumps(results))
