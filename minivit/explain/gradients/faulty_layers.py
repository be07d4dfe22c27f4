"""Three backward passes of an encoder layer with a fault each, for an exercise of chapter 10: read it afterwards."""

from ... import attention, layer, layer_norm, mlp

FAULTS = {"A": "the second residual is forgotten: dmiddle lacks dy",
          "B": "attention receives dy alone, without what came back through the MLP",
          "C": "the first residual carries dy instead of dmiddle"}


def faulty_layer(fault):
    """A section with `layer`'s forward, and a backward pass that has one of FAULTS."""
    def backward(dy, cache):
        norm1_cache, attn_cache, _, norm2_cache, mlp_cache, _, queries = cache
        dnormed, dmlp = mlp.backward(dy, mlp_cache)
        dmiddle, dnorm2 = layer_norm.backward(dnormed, norm2_cache)
        if fault != "A":
            dmiddle += dy
        dnormed, dattn = attention.backward(dy if fault == "B" else dmiddle, attn_cache)
        dx, dnorm1 = layer_norm.backward(dnormed, norm1_cache)
        dx[:, queries] += dy if fault == "C" else dmiddle
        return dx, {"norm1": dnorm1, "attn": dattn, "norm2": dnorm2, "mlp": dmlp}

    return type(f"Layer{fault}", (), {"forward": staticmethod(layer.forward), "backward": staticmethod(backward)})
