"""The authors' own files beside networks of their libraries' parts: CLIP of torch's, attention pooling of flax's."""

import numpy as np
import pytest
from libraries import relative, torch
from relatives import CLASSES, HEADS, LAYERS, MLP, PATCH, WIDTH, drawn
from test_relatives_parity import images, run

import minivit
from minivit.trees import flatten

pytestmark = pytest.mark.parity


class QuickGELU(torch.nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Layer(torch.nn.Module):
    def __init__(self, gelu):
        super().__init__()
        self.ln_1, self.ln_2 = torch.nn.LayerNorm(WIDTH), torch.nn.LayerNorm(WIDTH)
        self.attn = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = torch.nn.Sequential()
        self.mlp.add_module("c_fc", torch.nn.Linear(WIDTH, MLP))
        self.mlp.add_module("gelu", gelu)
        self.mlp.add_module("c_proj", torch.nn.Linear(MLP, WIDTH))

    def forward(self, x):
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Tower(torch.nn.Module):
    """CLIP's vision tower under OpenAI's names, of torch's parts."""

    def __init__(self, gelu, tokens=17):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.class_embedding = torch.nn.Parameter(torch.zeros(WIDTH))
        self.positional_embedding = torch.nn.Parameter(torch.zeros(tokens, WIDTH))
        self.ln_pre, self.ln_post = torch.nn.LayerNorm(WIDTH), torch.nn.LayerNorm(WIDTH)
        self.transformer = torch.nn.Module()
        self.transformer.resblocks = torch.nn.ModuleList(Layer(gelu) for _ in range(LAYERS))
        self.proj = torch.nn.Parameter(torch.zeros(WIDTH, CLASSES))

    def forward(self, x):
        patches = self.conv1(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_embedding.expand(len(x), 1, -1), patches], dim=1)
        tokens = self.ln_pre(tokens + self.positional_embedding)
        for layer in self.transformer.resblocks:
            tokens = layer(tokens)
        return self.ln_post(tokens[:, 0]) @ self.proj


class Pair(torch.nn.Module):
    """CLIP as a whole: the tower, and some of the text side, whose names the tower has too."""

    def __init__(self, tower):
        super().__init__()
        self.visual = tower
        self.positional_embedding = torch.nn.Parameter(torch.ones(77, 8))
        self.logit_scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.visual(x)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("gelu, form", [(QuickGELU, "quick"), (torch.nn.GELU, "erf")])
def test_openais_clip(gelu, form, whole, tmp_path, differences):
    tower = drawn(Tower(gelu()))
    with torch.no_grad():
        for name, weight in tower.named_parameters():
            if "ln_" in name:
                weight.copy_(0.1 * torch.randn(weight.shape) + name.endswith("weight"))
    module = (Pair(tower) if whole else tower).double()
    model = minivit.load(module)
    assert (model.config.gelu, model.config.num_heads, model.config.layer_norm_eps) == (form, HEADS, 1e-5)
    x = images((32, 32))
    y, dy, dpixels, grads = run(module, lambda module, x: module(x), x)
    ours, cache = model.forward(x)
    differences("values", ours, y)
    dx, ours = model.backward(dy, cache)
    differences("pixels' gradient", dx, dpixels)
    theirs, ours = flatten(minivit.load(grads, num_heads=HEADS, dtype="float64").params), flatten(ours)
    del theirs["head.bias"], ours["head.bias"]                          # the projection has none
    differences("parameters' gradients", ours, theirs)
    torch.save(module.state_dict(), tmp_path / "clip.pt")
    again = minivit.load(tmp_path / "clip.pt", num_heads=HEADS, gelu=form, dtype="float64")
    assert again.config == model.config and relative(again(x), model(x)) <= 1e-15


def flax_pooled(pool):
    """big_vision's ViT without [CLS]: positions, layers, the final norm, then attention pooling or the mean."""
    import flax.linen as nn

    class MlpBlock(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(WIDTH, name="Dense_1")(nn.gelu(nn.Dense(MLP, name="Dense_0")(x)))

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = x + nn.MultiHeadDotProductAttention(num_heads=HEADS, name="MultiHeadDotProductAttention_0")(
                nn.LayerNorm(name="LayerNorm_0")(x))
            return x + MlpBlock(name="MlpBlock_0")(nn.LayerNorm(name="LayerNorm_1")(x))

    class MAPHead(nn.Module):
        @nn.compact
        def __call__(self, x):
            probe = self.param("probe", nn.initializers.normal(1.0), (1, 1, WIDTH))
            probe = probe.repeat(len(x), axis=0)
            x = nn.MultiHeadDotProductAttention(num_heads=HEADS, name="MultiHeadDotProductAttention_0")(probe, x)
            return (x + MlpBlock(name="MlpBlock_0")(nn.LayerNorm(name="LayerNorm_0")(x)))[:, 0]

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, x):
            for i in range(LAYERS):
                x = Block(name=f"encoderblock_{i}")(x)
            return nn.LayerNorm(name="encoder_norm")(x)

    class ViT(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Conv(WIDTH, (PATCH, PATCH), strides=(PATCH, PATCH), padding="VALID", name="embedding")(x)
            x = x.reshape(len(x), -1, WIDTH)
            x = x + self.param("pos_embedding", nn.initializers.normal(0.02), (1, *x.shape[1:]))
            x = Transformer(name="Transformer")(x)
            return MAPHead(name="MAPHead_0")(x) if pool == "map" else x.mean(axis=1)

    return ViT()


@pytest.mark.parametrize("pool", ["map", "normed_mean"])
def test_big_visions_read_outs(pool, tmp_path, differences):
    """In float64, values and the gradient of every parameter."""
    import jax
    from flax.traverse_util import flatten_dict, unflatten_dict
    with jax.enable_x64(True):
        module, x = flax_pooled(pool), images((32, 32))
        shapes = flatten_dict(jax.eval_shape(module.init, jax.random.key(0), x)["params"], sep="/")
        rng = np.random.default_rng(3)
        arrays = {name: rng.standard_normal(leaf.shape) * (
            0.5 if "pos_embedding" in name else 1.5 if "probe" in name else 0.1 if name.endswith(("bias", "scale"))
            else 1.8 / WIDTH ** 0.5 if "query" in name or "key" in name else 0.65 / WIDTH ** 0.5)
            + name.endswith("scale") for name, leaf in shapes.items()}
        dy = rng.standard_normal((len(x), WIDTH))

        def value(arrays):
            y = module.apply({"params": unflatten_dict(arrays, sep="/")}, x)
            return (y * dy).sum(), y

        (_, theirs), grads = jax.value_and_grad(value, has_aux=True)(arrays)
        theirs, grads = np.asarray(theirs), {name: np.asarray(g) for name, g in grads.items()}
    np.savez(tmp_path / "weights.npz", **{f"params/{name}": a for name, a in arrays.items()})
    model = minivit.load(tmp_path / "weights.npz", dtype="float64")
    assert (model.config.pool, model.config.gelu, model.config.class_token) == (pool, "tanh", False)
    ours, cache = model.forward(x)
    differences("values", ours, theirs)
    _, ours = model.backward(dy, cache)
    differences("parameters' gradients", flatten(ours), flatten(minivit.load(grads, dtype="float64").params))
