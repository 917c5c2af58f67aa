# SPDX-License-Identifier: Apache-2.0
"""models.py - generated checkpoints of TinyLlama's shape (1.1B parameters, bf16), or a small one's: a base and two fine-tunes. Needs numpy only."""
import json, pathlib

import numpy as np

CONFIG = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=32000, hidden_size=2048, intermediate_size=5632,
              num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4, hidden_act="silu", max_position_embeddings=2048,
              rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, torch_dtype="bfloat16", bos_token_id=1, eos_token_id=2)
SHAPES = {"1.1B": CONFIG, "60M": dict(CONFIG, vocab_size=8000, hidden_size=1024, intermediate_size=2816, num_hidden_layers=4, num_attention_heads=16),
          "deep": dict(CONFIG, vocab_size=512, hidden_size=128, intermediate_size=256, num_hidden_layers=32, num_attention_heads=8)}


def tensors(config=CONFIG):
    h, m, kv = config["hidden_size"], config["intermediate_size"], config["hidden_size"] // config["num_attention_heads"] * config["num_key_value_heads"]
    yield "lm_head.weight", (config["vocab_size"], h)
    yield "model.embed_tokens.weight", (config["vocab_size"], h)
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for name, shape in (("input_layernorm", (h,)), ("post_attention_layernorm", (h,)), ("mlp.down_proj", (h, m)), ("mlp.gate_proj", (m, h)),
                            ("mlp.up_proj", (m, h)), ("self_attn.k_proj", (kv, h)), ("self_attn.o_proj", (h, h)), ("self_attn.q_proj", (h, h)),
                            ("self_attn.v_proj", (kv, h))):
            yield p + name + ".weight", shape
    yield "model.norm.weight", (h,)


def bf16(x):
    """fp32 -> bf16 bits, to nearest even."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write(folder, step, config=CONFIG):
    """Writes one model; step: which fine-tune (0: the base itself). The same base for all."""
    folder = pathlib.Path(folder)
    if (folder / "config.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in sorted(tensors(config)):
        n = int(np.prod(shape)) * 2
        header[name] = dict(dtype="BF16", shape=list(shape), data_offsets=[at, at + n])
        at += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for i, (name, shape) in enumerate(sorted(tensors(config))):
            base = np.random.default_rng([1, i]).standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            if len(shape) == 1:
                base += 1
            if step:
                base += np.random.default_rng([2, step, i]).standard_normal(shape, dtype=np.float32) * np.float32(0.002)
            out.write(bf16(base).tobytes())
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    return folder
