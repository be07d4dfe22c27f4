"""Every relative beside its library, in float64, peaked: values, and the gradient of the pixels and of every parameter.

A module, its state dict and its folder each make the same model. The library's gradients are read as a state dict is.
"""

import numpy as np
import pytest
from libraries import relative, torch
from peaked import peakedness
from relatives import HEADS, SIZE, TIMM, TRANSFORMERS, timm_relative

import minivit
from minivit.trees import flatten

pytestmark = pytest.mark.parity


def images(height_width):
    return np.random.default_rng(1).uniform(-1, 1, (2, *height_width, 3))


def run(module, compute, x, seed=2):
    """(what it computes, the gradient sent back, the gradient of the pixels, {name: gradient of a parameter})."""
    pixels = torch.tensor(x.transpose(0, 3, 1, 2)).requires_grad_()
    y = compute(module, pixels)
    dy = torch.tensor(np.random.default_rng(seed).standard_normal(y.shape))
    (y * dy).sum().backward()
    grads = {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}
    return y.detach().numpy(), dy.numpy(), pixels.grad.numpy().transpose(0, 2, 3, 1), grads


def compared(differences, model, module, compute):
    """Values and gradients of minivit's model against the library's module."""
    x = images(model.config.height_width)
    y, dy, dpixels, grads = run(module, compute, x)
    maps = minivit.tracing.attention_maps(model, x)
    assert all(peakedness(a) >= 0.15 for a in maps), [peakedness(a) for a in maps]
    ours, cache = model.forward(x)
    differences("values", ours, y)
    dx, ours = model.backward(dy, cache)
    differences("pixels' gradient", dx, dpixels)
    config = model.config
    if not config.qkv_bias:             # a bare state dict without them is refused
        grads |= {f"blocks.{i}.attn.qkv.bias": torch.zeros(3 * config.width) for i in range(config.num_layers)}
    theirs = minivit.load(grads, num_heads=HEADS, image_size=config.image_size, dtype="float64", pool=read_out(config))
    theirs, ours = flatten(theirs.params), flatten(ours)
    if "head.bias" not in grads and any("visual_projection" in name for name in grads):
        del theirs["head.bias"], ours["head.bias"]              # the projection has none
    if not config.qkv_bias:
        theirs = {name: gradient for name, gradient in theirs.items() if not name.endswith("qkv.bias")}
    differences("parameters' gradients", ours, theirs)


def read_out(config):
    """The pool that the names of tensors alone may leave open."""
    return config.pool if config.pool in ("cls", "mean", "normed_mean") and config.class_token else None


@pytest.mark.parametrize("family", TIMM)
def test_timm(family, differences):
    module = TIMM[family]().double()
    model = minivit.load(module)
    assert model.config.height_width == SIZE and model.dtype == np.float64
    compared(differences, model, module, lambda module, x: module(x))
    config = model.config
    if not config.qkv_bias:
        with pytest.raises(minivit.CheckpointError, match="qkv_bias"):
            minivit.load(module.state_dict(), num_heads=HEADS, image_size=SIZE)
        return
    again = minivit.load(module.state_dict(), num_heads=HEADS, image_size=SIZE, gelu=config.gelu, dtype="float64",
                         layer_norm_eps=config.layer_norm_eps, pool=read_out(config))
    if not config.pool_prefix:                                  # which no tensor tells
        assert again.config == config
        assert np.array_equal(again(images(SIZE)), model(images(SIZE)))


@pytest.mark.parametrize("family", TRANSFORMERS)
def test_transformers(family, differences, tmp_path):
    make, compute = TRANSFORMERS[family]
    module = make()
    module.save_pretrained(tmp_path)
    module = module.double()
    model = minivit.load(module)
    assert model.config.num_heads == HEADS and model.dtype == np.float64
    compared(differences, model, module, compute)
    x = images(model.config.height_width)
    folder = minivit.load(tmp_path, dtype="float64")
    assert folder.config == model.config and relative(folder(x), model(x)) <= 1e-15
    config = model.config
    bare = minivit.load({name: tensor for name, tensor in module.state_dict().items()}, num_heads=HEADS,
                        layer_norm_eps=config.layer_norm_eps, gelu=config.gelu)
    assert relative(bare(x), model(x)) <= 1e-15


@pytest.mark.parametrize("classes", [0, 5])
def test_a_distilled_folder_of_timm(classes, tmp_path):
    """Without classes timm gives the mean of both tokens, though its config.json says global_pool "token"."""
    import timm
    module = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=classes, depth=2).eval()
    timm.models.save_for_hf(module, tmp_path)
    model = minivit.load(tmp_path, dtype="float64")
    assert model.config.pool == "distilled" and model.config.num_classes == classes
    x = images((224, 224))[:1]
    with torch.no_grad():
        theirs = module.double()(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    assert relative(model(x), theirs) <= 1e-12


def test_a_class_that_follows_timms_distilled_one(differences):
    """Its name is its own: what it is read out by is told by its tensors."""
    from timm.models.deit import VisionTransformerDistilled
    module = timm_relative("VisionTransformerDistilled", num_classes=0).double()
    module.__class__ = type("Student", (VisionTransformerDistilled,), {})
    compared(differences, minivit.load(module), module, lambda module, x: module(x))


class Gated(torch.nn.Module):
    """A gated MLP under SwiGLU's names whose gate passes GELU."""

    def __init__(self, in_features, hidden_features, **_):
        super().__init__()
        self.fc1, self.act = torch.nn.Linear(in_features, 2 * hidden_features), torch.nn.GELU()
        self.fc2 = torch.nn.Linear(hidden_features, in_features)


class Packed(Gated):
    """The same with nothing that tells its gate."""

    def __init__(self, **options):
        super().__init__(**options)
        del self.act


@pytest.mark.parametrize("make, said", [
    (lambda: timm_relative(mlp_layer=Gated), "a gated MLP Gated with GELU: expected SwiGLU in all layers"),
    (lambda: timm_relative(mlp_layer=Packed), "a gated MLP Packed: expected SwiGLU in all layers"),
    (lambda: one_layer_of(TIMM["DINOv2 giant"](), Gated), "a gated MLP Gated with GELU: expected SwiGLU in all layers"),
    (lambda: timm_relative("VisionTransformerDistilled", fc_norm=True), "fc_norm, which timm's distilled model never"),
    (lambda: timm_relative("VisionTransformerDistilled", fc_norm=True, num_classes=0), "never applies"),
])
def test_modules_of_timm_that_compute_something_else(make, said):
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(make())


def one_layer_of(module, mlp):
    """The module with this MLP in its last layer, of the others' width."""
    fc2 = module.blocks[-1].mlp.fc2
    module.blocks[-1].mlp = mlp(in_features=fc2.out_features, hidden_features=fc2.in_features)
    return module
