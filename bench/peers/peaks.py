"""What the GPU reaches through PyTorch: the largest product, by cuBLAS, and a copy.

Not run yet: written where neither torch nor a GPU was at hand.

On Hopper cuBLAS uses instructions (wgmma) that reach more than those of rnd1's kernels (mma.sync): shares of the peak
that rnd1_bench measures say how good the kernels are with theirs, shares of this one how far they are from the hardware.
"""

import torch

from common import options, random, report

SIDE = 8192
COPIED_BYTES = 1 << 30

given = options()
left, right = random(given, SIDE, SIDE), random(given, SIDE, SIDE)
report(given, "matmul 8192", {"side": SIDE}, "torch matmul", lambda _: torch.mm(left, right))

source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=given.device)
target = torch.empty_like(source)
report(given, "copy", {"bytes": 2 * COPIED_BYTES}, "torch copy_", lambda _: target.copy_(source))
