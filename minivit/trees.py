"""Nested dicts and lists of arrays: the form of params and of grads."""


def tree_map(function, tree, *others):
    """The tree with function(leaf, *leaves of the others) in place of each array."""
    if isinstance(tree, dict):
        return {name: tree_map(function, child, *(o[name] for o in others)) for name, child in tree.items()}
    if isinstance(tree, list):
        return [tree_map(function, child, *(o[i] for o in others)) for i, child in enumerate(tree)]
    return function(tree, *others)


def flatten(tree, prefix=""):
    """{"blocks.0.attn.qkv.weight": array, …}: the arrays under their dotted names."""
    if isinstance(tree, (dict, list)):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {name: leaf for key, child in items for name, leaf in flatten(child, f"{prefix}{key}.").items()}
    return {prefix[:-1]: tree}
