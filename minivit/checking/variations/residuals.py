"""The two sums of a layer otherwise: what is added to what."""

import math

from .variation import Variation


def of_sums():
    """Both sums made otherwise; where one alone is, the rows that differ say which."""
    sums = {
        "the residual is missing: the branch replaces its input": lambda x, branch, normed: branch,
        "the residual is taken from the normed tokens: LN(x) + branch": lambda x, branch, normed: normed + branch,
        "the branch is not added: its input goes on alone": lambda x, branch, normed: x,
        "the branch is subtracted": lambda x, branch, normed: x - branch,
        "the input is subtracted: branch - x": lambda x, branch, normed: branch - x,
        "the branch is multiplied instead of added": lambda x, branch, normed: x * branch,
        "the sum is halved": lambda x, branch, normed: (x + branch) / 2,
        "the sum is divided by √2": lambda x, branch, normed: (x + branch) / math.sqrt(2),
        "the input is added twice": lambda x, branch, normed: 2 * x + branch,
        "the branch is added twice": lambda x, branch, normed: x + 2 * branch,
        "the branch is halved": lambda x, branch, normed: x + branch / 2,
    }
    for words, total in sums.items():
        yield Variation(f"the residual sums: {words}", ("residual1", "output"),
                        choices={"residual": lambda x, branch, normed, params, eps, total=total:
                                 total(x, branch, normed)}, apart=True)
