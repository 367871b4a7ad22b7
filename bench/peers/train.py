"""One training step of PyTorch for each line of standard input: eager, f32, the same checkpoint and batch as bench/train.ts.

Attention is one batched product over canvases of equal length, experts are the loop of Hugging Face's models, and
only the scored rows go through the LM head.
"""

import json
import struct
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional


def read_checkpoint(folder, device):
    """The tensors of model.safetensors by name, as f32."""
    data = (Path(folder) / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(data[begin:end], "<f4").copy()
        tensors[name] = torch.nn.Parameter(torch.from_numpy(values.reshape(entry["shape"])).to(device))
    return tensors


class Model:
    def __init__(self, folder, length, device):
        config = json.loads((Path(folder) / "config.json").read_text())
        self.config = config
        self.tensors = read_checkpoint(folder, device)
        dim = config["head_dim"]
        frequencies = config["rope_theta"] ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies).repeat(1, 2)
        self.cosines, self.sines = angles.cos().float().to(device), angles.sin().float().to(device)

    def weight(self, name):
        return self.tensors[name + ".weight"]

    def norm(self, x, name):
        variance = x.pow(2).mean(-1, keepdim=True)
        return x * torch.rsqrt(variance + self.config["rms_norm_eps"]) * self.weight(name)

    def rotate(self, x):
        low, high = x.chunk(2, -1)
        return x * self.cosines + torch.cat((-high, low), -1) * self.sines

    def attention(self, x, name):
        canvases, length, _ = x.shape
        dim, heads = self.config["head_dim"], self.config["num_attention_heads"]
        shared = self.config["num_key_value_heads"]

        def project(part, count):
            return functional.linear(x, self.weight(name + part)).view(canvases, length, count, dim)

        query = self.rotate(self.norm(project("q_proj", heads), name + "q_norm").transpose(1, 2))
        key = self.rotate(self.norm(project("k_proj", shared), name + "k_norm").transpose(1, 2))
        value = project("v_proj", shared).transpose(1, 2)
        key, value = (each.repeat_interleave(heads // shared, 1) for each in (key, value))
        scores = query @ key.transpose(-1, -2) * dim**-0.5
        out = (scores.softmax(-1) @ value).transpose(1, 2).reshape(canvases, length, heads * dim)
        return functional.linear(out, self.weight(name + "o_proj"))

    def experts(self, x, name):
        flat = x.reshape(-1, x.shape[-1])
        count = self.config["num_experts"]
        probabilities = functional.linear(flat, self.weight(name + "gate")).softmax(-1)
        weights, chosen = probabilities.topk(self.config["num_experts_per_tok"], -1)
        if self.config["norm_topk_prob"]:
            weights = weights / weights.sum(-1, keepdim=True)
        out = torch.zeros_like(flat)
        places = functional.one_hot(chosen, count).permute(2, 1, 0)
        for expert in range(count):
            rank, rows = torch.where(places[expert])
            if len(rows) == 0:
                continue
            part = f"{name}experts.{expert}."
            given = flat[rows]
            gate = functional.silu(functional.linear(given, self.weight(part + "gate_proj")))
            hidden = gate * functional.linear(given, self.weight(part + "up_proj"))
            result = functional.linear(hidden, self.weight(part + "down_proj")) * weights[rows, rank, None]
            out.index_add_(0, rows, result)
        return out.view_as(x)

    def loss(self, tokens, rows, targets):
        x = functional.embedding(tokens, self.weight("model.embed_tokens"))
        for layer in range(self.config["num_hidden_layers"]):
            name = f"model.layers.{layer}."
            x = x + self.attention(self.norm(x, name + "input_layernorm"), name + "self_attn.")
            x = x + self.experts(self.norm(x, name + "post_attention_layernorm"), name + "mlp.")
        normed = self.norm(x.reshape(-1, x.shape[-1])[rows], "model.norm")
        return functional.cross_entropy(functional.linear(normed, self.weight("lm_head")), targets)


def main():
    settings = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(settings["threads"])
    device = settings["device"]
    model = Model(settings["folder"], settings["length"], device)
    parameters = list(model.tensors.values())
    optimizer = torch.optim.AdamW(parameters, lr=settings["learningRate"], betas=(0.9, 0.95), weight_decay=0.1)
    batch = {name: torch.tensor(values, device=device) for name, values in settings["batch"].items()}
    tokens = batch["tokens"].view(-1, settings["length"])

    def clock():
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    print(json.dumps("PyTorch " + torch.__version__), flush=True)
    for _ in sys.stdin:
        times = [clock()]
        loss = model.loss(tokens, batch["rows"], batch["targets"])
        times.append(clock())
        optimizer.zero_grad()
        loss.backward()
        times.append(clock())
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        times.append(clock())
        forward, backward, update = (end - begin for begin, end in zip(times, times[1:]))
        step = {"forward": forward, "backward": backward, "optimizer": update, "seconds": times[-1] - times[0]}
        print(json.dumps({**step, "loss": loss.item()}), flush=True)


main()
