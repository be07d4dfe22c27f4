"""Finding the line that is wrong: gradients against finite differences, another network against ours, step by step."""
