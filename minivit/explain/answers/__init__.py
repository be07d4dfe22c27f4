"""Answers seen: from logits to probabilities, what they depend on, which are right, and how training went."""
