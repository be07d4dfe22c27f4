"""Gradients seen: the chain rule, softmax's Jacobian, what reaches the first layer, and how a wrong one shows."""
