"""Layers seen: the residual stream, what each layer adds to it, what the MLP answers to, and every shape on the way."""
