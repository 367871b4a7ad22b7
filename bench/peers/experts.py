"""The mixture of experts by torch: gather, two grouped products with SwiGLU between them, combine; and the loop over
experts of the reference implementation (the `hf` backend of RND1, which is Qwen3-MoE's).

Not run yet: written where neither torch nor a GPU was at hand.

The grouped product is torch.nn.functional.grouped_mm, or torch._grouped_mm before it had that name; it takes bf16. Grouping
rows by expert is not timed, for rnd1 does it in `route`.
"""

import torch
from torch.nn.functional import silu

from common import cold_copies, options, random, report


def choose_experts(given, rows):
    """Ids (rows, k) of the same loads as in bench/native/experts.cc."""
    experts, k = given.experts, given.experts_per_token
    if given.routing == "even":
        return (torch.arange(rows * k, device=given.device) % experts).view(rows, k)
    if given.routing == "random":
        return torch.rand(rows, experts, device=given.device).topk(k, dim=1).indices
    used = max(experts // 2, k)
    rest = torch.rand(rows, used - 1, device=given.device).topk(k - 1, dim=1).indices + 1
    return torch.cat([torch.zeros(rows, 1, dtype=rest.dtype, device=given.device), rest], dim=1)


def grouped_product(x, weights, ends):
    """x (slots, inner) in groups that end at `ends`, weights (experts, outputs, inner)."""
    function = getattr(torch.nn.functional, "grouped_mm", None) or torch._grouped_mm
    return function(x, weights.transpose(-2, -1), offs=ends)


given = options()
hidden, width = given.hidden, given.expert_width
expert_bytes = 3 * hidden * width * torch.finfo(given.dtype).bits // 8
copies = []
for _ in range(cold_copies(given.experts * expert_bytes)):
    gate_up = random(given, given.experts, 2 * width, hidden, amplitude=(3 / hidden) ** 0.5)
    down = random(given, given.experts, hidden, width, amplitude=(3 / width) ** 0.5)
    copies.append((gate_up, down))

for rows in given.rows:
    x = random(given, rows, hidden)
    ids = choose_experts(given, rows)
    weights = torch.rand(rows, given.experts_per_token, device=given.device).softmax(dim=1).to(given.dtype)
    flat = ids.flatten()
    order = flat.argsort(stable=True)
    row_of_slot = order // given.experts_per_token
    slot_weights = weights.flatten()[order].unsqueeze(1)
    ends = torch.bincount(flat, minlength=given.experts).cumsum(0).to(torch.int32)
    hit = flat.unique().tolist()
    shape = {
        "rows": rows,
        "experts": given.experts,
        "expertsPerToken": given.experts_per_token,
        "hidden": hidden,
        "expertWidth": width,
    }

    def grouped(i):
        gate_up, down = copies[i % len(copies)]
        gate, up = grouped_product(x[row_of_slot], gate_up, ends).chunk(2, dim=-1)
        products = grouped_product(silu(gate) * up, down, ends) * slot_weights
        return torch.zeros_like(x).index_add_(0, row_of_slot, products)

    def loop(i):
        gate_up, down = copies[i % len(copies)]
        mask = torch.nn.functional.one_hot(ids, given.experts).permute(2, 1, 0)
        out = torch.zeros_like(x)
        for expert in hit:
            rank, row = torch.where(mask[expert])
            gate, up = (x[row] @ gate_up[expert].T).chunk(2, dim=-1)
            products = (silu(gate) * up) @ down[expert].T * weights[row, rank, None]
            out.index_add_(0, row, products)
        return out

    report(given, given.routing, shape, "torch grouped", grouped)
    report(given, given.routing, shape, "reference loop", loop)
