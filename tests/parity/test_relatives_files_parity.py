"""The authors' own files beside networks of their libraries' parts: CLIP of torch's, attention pooling of flax's."""

import numpy as np
import pytest
from libraries import relative, torch
from relatives import CLASSES, HEADS, LAYERS, MLP, PATCH, WIDTH, drawn, timm_relative
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


def with_attributes(module, **attributes):
    """The module with what open_clip's towers say of themselves."""
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


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


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("attributes, said", [
    ({"pool_type": "avg"}, "is read out by pool_type 'avg', expected 'tok'"),
    ({"pool_type": "avg", "final_ln_after_pool": True}, "is read out by pool_type 'avg', expected 'tok'"),
    ({"pool_type": "none"}, "is read out by pool_type 'none', expected 'tok'"),
    ({"global_average_pool": True}, "is read out by pool_type 'avg', expected 'tok'"),
    ({"attn_pool": torch.nn.MultiheadAttention(WIDTH, HEADS)}, "attn_pool"),
])
def test_open_clips_other_read_outs_are_refused(attributes, said, whole):
    tower = with_attributes(drawn(Tower(torch.nn.GELU())), **attributes)
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(Pair(tower) if whole else tower)


def test_open_clips_norm_after_cls_is_its_norm_before():
    """One token's norm is the same on either side of the read-out, and other towers say nothing of it."""
    plain = minivit.load(drawn(Tower(torch.nn.GELU())))
    for attributes in ({"pool_type": "tok"}, {"pool_type": "tok", "final_ln_after_pool": True, "attn_pool": None}):
        model = minivit.load(with_attributes(drawn(Tower(torch.nn.GELU())), **attributes))
        assert model.config == plain.config and np.array_equal(model(images((32, 32))), plain(images((32, 32))))


HALF, COLOURS = (0.5, 0.5, 0.5), ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("attributes, colours, geometry, assumed", [
    ({}, COLOURS, ("crop", "bicubic"), "preprocessing as CLIP has it"),
    ({"image_mean": None, "image_std": None}, COLOURS, ("crop", "bicubic"), "preprocessing as CLIP has it"),
    ({"image_mean": HALF, "image_std": [0.25, 0.5, 0.75]}, (HALF, (0.25, 0.5, 0.75)), ("crop", "bicubic"),
     "resizing as CLIP has it"),
    ({"preprocess_cfg": {"mean": HALF, "std": HALF, "interpolation": "bilinear", "resize_mode": "squash"}},
     (HALF, HALF), ("stretch", "bilinear"), None),
    ({"preprocess_cfg": {"mean": HALF, "std": HALF, "interpolation": "random", "resize_mode": "shortest"}},
     (HALF, HALF), ("crop", "bicubic"), None),
])
def test_open_clips_own_preprocessing(attributes, colours, geometry, assumed, whole):
    tower = with_attributes(drawn(Tower(torch.nn.GELU())), **attributes)
    model = minivit.load(Pair(tower) if whole else tower)
    found = model.preprocessing
    assert ((found.mean, found.std), (found.resize, found.interpolation)) == (colours, geometry)
    assert found.crop_fraction == 1.0
    said = [what for what in model.origin.assumed if "as CLIP has it" in what]
    assert len(said) == bool(assumed) and all(what.startswith(assumed) for what in said)


def test_open_clips_padding_is_refused():
    about = {"mean": HALF, "std": HALF, "interpolation": "bicubic", "resize_mode": "longest"}
    tower = with_attributes(drawn(Tower(torch.nn.GELU())), preprocess_cfg=about)
    with pytest.raises(minivit.CheckpointError, match=r"resize_mode 'longest'.*give preprocessing="):
        minivit.load(tower)


class SwiGLUFFN(torch.nn.Module):
    """DINOv2's gated MLP: nothing in it but its class tells the gate's function."""

    def __init__(self, act=None, **flags):
        super().__init__()
        self.w12, self.w3 = torch.nn.Linear(WIDTH, 2 * MLP), torch.nn.Linear(MLP, WIDTH)
        with_attributes(self, **({} if act is None else {"act": act}), **flags)

    def forward(self, x):
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(torch.nn.functional.silu(gate) * value)


class Group(torch.nn.ModuleList):
    def forward(self, x):
        for layer in self:
            x = layer(x)
        return x


class DinoVisionTransformer(torch.nn.Module):
    """DINOv2's module under its own names, of timm's layers. groups: in how many its blocks are."""

    def __init__(self, groups=0, registers=0, gated=False, eps=1e-6, gelu="none", image_size=32):
        super().__init__()
        from functools import partial

        from timm.layers import PatchEmbed
        from timm.models.vision_transformer import Block
        norm, act = partial(torch.nn.LayerNorm, eps=eps), partial(torch.nn.GELU, approximate=gelu)
        self.patch_embed = PatchEmbed(image_size, PATCH, 3, WIDTH)
        self.cls_token = torch.nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = torch.nn.Parameter(torch.zeros(1, 1 + (image_size // PATCH) ** 2, WIDTH))
        if registers:
            self.register_tokens = torch.nn.Parameter(torch.zeros(1, registers, WIDTH))
        self.mask_token = torch.nn.Parameter(torch.zeros(1, WIDTH))
        layers = [Block(WIDTH, HEADS, MLP / WIDTH, qkv_bias=True, init_values=1e-5, act_layer=act, norm_layer=norm)
                  for _ in range(LAYERS)]
        for layer in layers * gated:
            layer.mlp = SwiGLUFFN()
        if groups:                          # the places of the layers before a group's are filled
            n = LAYERS // groups
            layers = [Group([torch.nn.Identity()] * i + layers[i:i + n]) for i in range(0, LAYERS, n)]
        self.blocks = torch.nn.ModuleList(layers)
        self.norm, self.head = norm(WIDTH), torch.nn.Identity()

    def forward(self, x):
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], dim=1) + self.pos_embed
        if hasattr(self, "register_tokens"):
            x = torch.cat([x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]], dim=1)
        for part in self.blocks:
            x = part(x)
        return self.head(self.norm(x)[:, 0])


@pytest.mark.parametrize("options", [
    {}, {"groups": 1}, {"groups": 3, "registers": 2}, {"registers": 4, "gelu": "tanh"}, {"gated": True},
    {"eps": 1e-3, "groups": 3}, {"gated": True, "groups": 1, "registers": 2, "eps": 1e-5}], ids=str)
def test_dinov2s_own_module(options, differences):
    """Heads, eps and GELU are the module's; nothing but its classes is taken on trust."""
    module = drawn(DinoVisionTransformer(**options)).double()
    model = minivit.load(module)
    config = model.config
    assert model.origin.form == "DINOv2"
    assert (config.num_heads, config.layer_norm_eps) == (HEADS, options.get("eps", 1e-6))
    assert config.gelu == ("tanh" if options.get("gelu") == "tanh" else "erf")
    (trusted,) = (what for what in model.origin.assumed if "DINOv2's own code" in what)
    assert trusted.startswith("that DinoVisionTransformer, Block, Attention, ")
    assert ("SwiGLUFFN compute as DINOv2's own code does, SwiGLU with the gate first" in trusted) == config.gated_mlp
    assert not any("layer_norm_eps" in what or "num_heads" in what for what in model.origin.assumed)
    x = images((32, 32))
    y, dy, dpixels, grads = run(module, lambda module, x: module(x), x)
    ours, cache = model.forward(x)
    differences("values", ours, y)
    dx, ours = model.backward(dy, cache)
    differences("pixels' gradient", dx, dpixels)
    theirs = minivit.load(grads, num_heads=HEADS, dtype="float64")
    differences("parameters' gradients", flatten(ours), flatten(theirs.params))


def changed(name, value, **options):
    """DINOv2's module with another value of one attribute, by its dotted name, in its last layer."""
    module = DinoVisionTransformer(**options)
    part, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(part), attribute, value)
    return module


@pytest.mark.parametrize("make, said", [
    (lambda: changed("blocks.2.attn.num_heads", 2), "layers differ in num_heads: 2 and 3"),
    (lambda: changed("blocks.2.2.attn.num_heads", 2, groups=3), "layers differ in num_heads: 2 and 3"),
    (lambda: changed("blocks.2.attn.scale", 1.0), "scales its scores by 1, expected 1/√d"),
    (lambda: changed("norm.eps", 1e-5), "norms have eps 1e-06 and 1e-05"),
    (lambda: changed("blocks.2.mlp.act", torch.nn.ReLU()), "activation is ReLU, expected GELU"),
    (lambda: changed("blocks.2.mlp.act", torch.nn.GELU("tanh")), "layers differ in GELU: erf and tanh"),
    (lambda: changed("blocks.2.mlp", SwiGLUFFN(torch.nn.GELU()), gated=True), "a gated MLP SwiGLUFFN with GELU"),
    (lambda: changed("blocks.2.mlp", SwiGLUFFN(gate_last=True), gated=True), "gated MLP SwiGLUFFN, the gate last"),
    (lambda: changed("head", torch.nn.Tanh()), "head is Tanh, expected a linear map or none"),
])
def test_modules_under_dinov2s_names_that_compute_something_else(make, said):
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(make())


def test_timms_module_beside_a_mask_token_is_asked_as_timms(differences):
    """A wrapper of masked pre-training makes the names DINOv2's; the layers, and the read-out, stay timm's."""
    module = torch.nn.Module()
    module.vit = timm_relative(init_values=1e-5, global_pool="avg", fc_norm=False, img_size=32)
    module.mask_token = torch.nn.Parameter(torch.zeros(1, 1, WIDTH))
    module.vit.pretrained_cfg = {"mean": HALF, "std": HALF, "crop_pct": 0.75}
    model, x = minivit.load(module.double()), images((32, 32))
    assert model.config.pool == "normed_mean"
    assert (model.preprocessing.mean, model.preprocessing.crop_fraction) == (HALF, 0.75) and not model.origin.assumed
    differences("values", model(x), run(module.vit, lambda module, x: module(x), x)[0])
    module.vit = timm_relative(init_values=1e-5, no_embed_class=True, img_size=32).double()
    model = minivit.load(module)
    assert not model.config.prefix_positions
    differences("values without a position of [CLS]", model(x), run(module.vit, lambda module, x: module(x), x)[0])


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
