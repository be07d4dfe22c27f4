"""Figures and measurements of what happens inside a Vision Transformer: what the notebooks and `p.show()` draw."""
