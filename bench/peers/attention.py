"""Attention by torch's scaled_dot_product_attention, with each of its fused backends.

Not run yet: written where neither torch nor a GPU was at hand.

Grouped queries need torch 2.5 (enable_gqa). A backend that refuses them gets keys and values repeated beforehand, which
is not timed; its name then says so.
"""

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from common import options, random, report

BACKENDS = {
    "torch flash": SDPBackend.FLASH_ATTENTION,
    "torch cuDNN": SDPBackend.CUDNN_ATTENTION,
    "torch efficient": SDPBackend.EFFICIENT_ATTENTION,
}

given = options()
for length in given.rows:
    # As a model leaves them: positions before heads, then transposed without a copy.
    def heads_of(count):
        return random(given, given.canvases, length, count, given.head_dim).transpose(1, 2)

    query, key, value = heads_of(given.heads), heads_of(given.key_value_heads), heads_of(given.key_value_heads)
    group = given.heads // given.key_value_heads
    shape = {
        "length": length,
        "canvases": given.canvases,
        "heads": given.heads,
        "keyValueHeads": given.key_value_heads,
        "headDim": given.head_dim,
    }
    for name, backend in BACKENDS.items():
        grouped = True
        try:
            with sdpa_kernel(backend):
                scaled_dot_product_attention(query, key, value, enable_gqa=True)
        except RuntimeError:
            grouped = False
        keys = key if grouped else key.repeat_interleave(group, dim=1)
        values = value if grouped else value.repeat_interleave(group, dim=1)

        def attend(_):
            with sdpa_kernel(backend):
                scaled_dot_product_attention(query, keys, values, enable_gqa=grouped)

        report(given, "full", shape, name if grouped else f"{name}, repeated", attend)
