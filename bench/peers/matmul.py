"""The projections of a layer by torch.nn.functional.linear, which is cuBLAS.

Not run yet: written where neither torch nor a GPU was at hand.
"""

from torch.nn.functional import linear

from common import cold_copies, options, random, report


def projection(given, case, inner, columns):
    weights = [random(given, columns, inner, amplitude=(3 / inner) ** 0.5)]
    size = weights[0].numel() * weights[0].element_size()
    weights += [weights[0].clone() for _ in range(cold_copies(size) - 1)]
    for rows in given.rows:
        x = random(given, rows, inner)
        shape = {"rows": rows, "inner": inner, "columns": columns}
        report(given, case, shape, "torch linear", lambda i: linear(x, weights[i % len(weights)]))


given = options()
queries = given.heads * given.head_dim
keys = given.key_value_heads * given.head_dim
projection(given, "qkv", given.hidden, queries + 2 * keys)
projection(given, "output", queries, given.hidden)
