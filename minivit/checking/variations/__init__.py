"""The known ways in which two models part, each as a Variation, and the trace of a model under one of them.

`comparison` finds where two models part; the cause is the variation under which they agree there.
"""

from .conventions import eps_variation, known
from .switches import Variation, steps

__all__ = ["Variation", "eps_variation", "known", "steps"]
