"""Scores as the reference computes them: logits, log-softmax, argmax and entropy, eagerly and compiled.

Not run yet: written where neither torch nor a GPU was at hand.

The selection is left out: it costs rnd1 next to nothing, and the reference synchronizes for it.
"""

import torch

from common import options, random, report

given = options()
head = random(given, given.vocabulary, given.hidden, amplitude=(3 / given.hidden) ** 0.5)


def score(x):
    log_probabilities = torch.log_softmax((x @ head.T).float(), dim=-1)
    confidence, token = log_probabilities.max(dim=-1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=-1)
    return token, confidence, entropy


compiled = torch.compile(score)
# What takes minutes to compile comes last.
for name, function in (("torch eager", score), ("torch compile", compiled)):
    for rows in given.rows:
        x = random(given, rows, given.hidden)
        shape = {"rows": rows, "hidden": given.hidden, "vocabulary": given.vocabulary}
        report(given, "greedy + unmask", shape, name, lambda _: function(x))
