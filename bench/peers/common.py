"""What the peers share: options, inputs, timing, one JSON object a line.

Not run yet: written where neither torch nor a GPU was at hand.

The microscripts in bench/ start the peers with their own options where torch sees a GPU, and put what is printed
into the column `baseline` by case and shape.
"""

import argparse
import json
import statistics
import sys

import torch

# Weights that fit into the GPU's last cache take turns, as in rnd1_bench.
BEYOND_CACHES = 512 << 20
MOST_COPIES = 32

SIZES = {
    "canvases": 1,
    "hidden": 2048,
    "heads": 32,
    "key-value-heads": 4,
    "head-dim": 128,
    "experts": 128,
    "experts-per-token": 8,
    "expert-width": 768,
    "vocabulary": 151936,
    "runs": 5,
}


def options():
    """The options of rnd1_bench; those that mean nothing here are taken and forgotten."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--dtype", default="bf16", choices=["f32", "f16", "bf16"])
    parser.add_argument("--rows", default="256")
    parser.add_argument("--routing", default="even", choices=["even", "random", "skewed"])
    for name, value in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    given, _ = parser.parse_known_args()
    given.rows = [int(count) for count in given.rows.split(",")]
    given.dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[given.dtype]
    # "cuda" alone is the first GPU for rnd1, the current one for torch.
    given.device = "cuda:0" if given.device == "cuda" else given.device
    torch.cuda.set_device(given.device)
    torch.manual_seed(1)
    torch.set_grad_enabled(False)
    # f32 of rnd1 uses no TF32.
    torch.backends.cuda.matmul.allow_tf32 = False
    return given


def random(given, *shape, amplitude=1.0):
    return ((torch.rand(*shape, device=given.device) * 2 - 1) * amplitude).to(given.dtype)


def cold_copies(size):
    return max(1, min(BEYOND_CACHES // max(size, 1), MOST_COPIES))


def median_seconds(call, runs):
    """The median over `runs` of the time of call(i), several calls at a time; events of the GPU tell it."""
    count = 0

    def measure(calls):
        nonlocal count
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(calls):
            call(count)
            count += 1
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3 / calls

    for _ in range(3):
        once = measure(1)
    calls = max(1, min(1000, int(0.02 / max(once, 1e-9)) + 1))
    return statistics.median(measure(calls) for _ in range(runs))


def report(given, case, shape, name, call):
    """Times call(i) and prints it; what this version of torch cannot do is said on stderr."""
    try:
        seconds = median_seconds(call, given.runs)
    except (RuntimeError, AttributeError, TypeError) as error:
        print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
        return
    print(json.dumps({"case": case, "shape": shape, "name": name, "seconds": seconds}), flush=True)
