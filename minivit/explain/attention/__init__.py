"""Attention seen: its matrices, where each token looks, how far, how sharply, and through all layers at once."""
