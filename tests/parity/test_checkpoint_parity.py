"""Loaded weights against the libraries that made them: B/16 at full size and peaked, and small files of every form."""

import copy
import json

import numpy as np
import pytest
from libraries import B16, LIBRARIES, TINY, hugging_face_vit, pixels, relative, timm_vit, torch, torchvision_vit
from peaked import peakedness, relative_error

import minivit
from minivit.checking.comparison import GRADIENT
from minivit.checking.torch_tracing import torch_trace

pytestmark = pytest.mark.parity


def each_attention_by_softmax(module):
    """The module with its attention maps made by a softmax of its own, so that they are the library's and not ours.

    timm has that switch. transformers has it too, but computes its softmax in float32 whatever the weights are.
    """
    for part in module.modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = False
    return module


@pytest.mark.parametrize("library", LIBRARIES)
def test_b16_in_float64(library, differences):
    """Logits, every step of every layer, attention maps, and the gradient of pixels and of every parameter."""
    module = each_attention_by_softmax(LIBRARIES[library](**B16).double())
    model = minivit.load(module)
    assert model.dtype == np.float64
    x = pixels(224)
    dy = np.random.default_rng(2).standard_normal((1, 1000))
    steps, gradients = torch_trace(module, x, dy)

    assert all(0.2 <= peakedness(steps[f"layer.{i}.attention"]) <= 0.45 for i in range(12))
    ours = minivit.tracing.trace(model, x)
    for kind in ("output", "attention", "hidden"):
        names = [f"layer.{i}.{kind}" for i in range(12)]
        differences(f"{kind}, 12 layers", {n: ours[n] for n in names}, {n: steps[n] for n in names})
    differences("logits", ours["logits"], steps["logits"])
    differences("all steps", {n: ours[n] for n in steps}, steps)
    _, cache = model.forward(x)
    dx, grads = model.backward(dy, cache)
    differences("pixels' gradient", dx, gradients.pop("pixels"))
    differences("parameters' gradients", minivit.trees.flatten(grads), gradients)


@pytest.mark.parametrize("library", LIBRARIES)
def test_b16_logits_in_float32(library):
    module = LIBRARIES[library](**B16)
    model = minivit.load(module)
    assert model.dtype == np.float32
    x = pixels(224).astype(np.float32)
    with torch.no_grad():
        output = module(torch.tensor(x.transpose(0, 3, 1, 2)))
    theirs = getattr(output, "logits", output).numpy()
    assert theirs.std() > 0.5
    largest = np.abs(model(x) - theirs).max()
    print(f"{library}: largest difference of logits in float32 {largest:.1e}")
    assert largest <= 5e-5


def test_compare_says_that_b16_agrees():
    module = timm_vit(**B16)
    assert minivit.compare(minivit.load(module), module).agrees


# Files, each written by its own library.

def write_hugging_face(folder, module, **_):
    module.save_pretrained(folder)
    return folder


def write_safetensors(folder, module, dtype=None, name="model.safetensors"):
    from safetensors.torch import save_file
    save_file({name: t.to(dtype or t.dtype).contiguous() for name, t in module.state_dict().items()}, folder / name)
    return folder / name


def write_pth(folder, module, dtype=None, nested=False):
    tensors = {name: t.to(dtype or t.dtype) for name, t in module.state_dict().items()}
    torch.save({"state_dict": tensors, "epoch": 3} if nested else tensors, folder / "model.pth")
    return folder / "model.pth"


def logits_of(module, x):
    with torch.no_grad():
        output = module(torch.tensor(x.transpose(0, 3, 1, 2), dtype=next(module.parameters()).dtype))
    if hasattr(output, "last_hidden_state"):
        return output.last_hidden_state[:, 0].numpy()
    return getattr(output, "logits", output).numpy()


@pytest.mark.parametrize("write", [write_safetensors, write_pth])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_files_of_every_dtype(library, dtype, write, tmp_path):
    module = LIBRARIES[library](**TINY)
    dtype = getattr(torch, dtype)
    file = write(tmp_path, module, dtype)
    expected = logits_of(module.to(dtype).double(), pixels(24))
    model = minivit.load(file, dtype="float64", num_heads=TINY["heads"])
    assert relative(model(pixels(24)), expected) <= 1e-12


@pytest.mark.parametrize("headless", [False, True])
@pytest.mark.parametrize("form", ["safetensors", "bin", "sharded"])
def test_hugging_face_folder(form, headless, tmp_path, capsys):
    labels = {i: name for i, name in enumerate(("ant", "bee", "cat", "dog", "elk"))}
    module = hugging_face_vit(**TINY, headless=headless, eps=1e-5, id2label=labels, hidden_act="gelu_new")
    if form == "sharded":
        module.save_pretrained(tmp_path, max_shard_size="10KB")
        assert (tmp_path / "model.safetensors.index.json").exists()
    else:
        module.save_pretrained(tmp_path)
    if form == "bin":
        from safetensors.torch import load_file
        torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
        (tmp_path / "model.safetensors").unlink()
    model = minivit.load(tmp_path, dtype="float64")
    assert (model.config.num_heads, model.config.layer_norm_eps, model.config.gelu) == (3, 1e-5, "tanh")
    assert model.labels == (None if headless else list(labels.values()))
    assert set(model.origin.ignored) == ({"pooler.dense.weight", "pooler.dense.bias"} if headless else set())
    assert ("pooler" in capsys.readouterr().err) == headless
    assert relative(model(pixels(24)), logits_of(module.double(), pixels(24))) <= 1e-12


def test_hugging_face_version_5_spelling_in_a_file(tmp_path):
    module = hugging_face_vit(**TINY).double()
    model = minivit.load(write_safetensors(tmp_path, module), dtype="float64", num_heads=3)
    assert "vit.layers.0.attention.q_proj.weight" in module.state_dict()
    assert model.config.layer_norm_eps == 1e-12
    assert relative(model(pixels(24)), logits_of(module, pixels(24))) <= 1e-12


def test_a_mask_token_is_ignored_and_told(tmp_path, capsys):
    from transformers import ViTModel
    config = hugging_face_vit(**TINY).config
    ViTModel(config, use_mask_token=True, add_pooling_layer=False).save_pretrained(tmp_path)
    model = minivit.load(tmp_path)
    assert list(model.origin.ignored) == ["embeddings.mask_token"]
    assert "embeddings.mask_token" in capsys.readouterr().err


def test_torchvision_old_spelling_of_the_mlp(tmp_path):
    module = torchvision_vit(**TINY).double()
    old = {name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
           for name, tensor in module.state_dict().items()}
    torch.save(old, tmp_path / "old.pth")
    model = minivit.load(tmp_path / "old.pth", dtype="float64", num_heads=3)
    assert relative(model(pixels(24)), logits_of(module, pixels(24))) <= 1e-12


def test_a_training_checkpoint_of_timm_is_unwrapped(tmp_path):
    module = timm_vit(**TINY).double()
    model = minivit.load(write_pth(tmp_path, module, nested=True), dtype="float64", num_heads=3)
    assert relative(model(pixels(24)), logits_of(module, pixels(24))) <= 1e-12


def test_a_timm_folder_as_the_hub_has_it(tmp_path):
    import timm
    module = timm.create_model("vit_tiny_patch16_224", num_classes=4)
    timm.models.save_for_hf(module, tmp_path, model_config={"label_names": ["a", "b", "c", "d"]})
    model = minivit.load(tmp_path)
    about = json.loads((tmp_path / "config.json").read_text("utf-8"))["pretrained_cfg"]
    assert model.config.num_heads == 3
    assert model.preprocessing.crop_fraction == about["crop_pct"]
    x = pixels(224)
    assert np.abs(model(x) - logits_of(module.eval(), x)).max() <= 5e-5


@pytest.mark.parametrize("options", [{"global_pool": "avg"}, {"class_token": False, "global_pool": "avg"},
                                     {"no_embed_class": True}, {"img_size": (16, 32)}, {"pos_embed": "none"},
                                     {"norm_layer": lambda D, **place: torch.nn.LayerNorm(D, eps=1e-3)},
                                     {"act_layer": lambda: torch.nn.GELU("tanh")}])
def test_timm_modules_with_options(options, tmp_path):
    size = options.get("img_size", (24, 24))
    module = timm_vit(**{**TINY, "size": size}, **{k: v for k, v in options.items() if k != "img_size"}).double()
    x = np.random.default_rng(0).uniform(-1, 1, (2, *size, 3))
    assert relative(minivit.load(module)(x), logits_of(module, x)) <= 1e-12


def test_a_saved_model_loads_in_timm_with_no_missing_key(tmp_path):
    from safetensors.torch import load_file
    for library in LIBRARIES.values():
        module = library(**TINY)
        model = minivit.load(module)
        minivit.save(model, tmp_path / "ours.safetensors")
        other = timm_vit(**TINY)
        set_eps(other, model.config.layer_norm_eps)
        result = other.load_state_dict(load_file(tmp_path / "ours.safetensors"), strict=True)
        assert not result.missing_keys and not result.unexpected_keys
        assert np.abs(logits_of(other, pixels(24)) - logits_of(module, pixels(24))).max() <= 1e-5


def test_preprocessing_follows_the_source():
    import timm
    import torchvision
    module = timm.create_model("vit_tiny_patch16_224.augreg_in21k_ft_in1k", pretrained=False)
    assert minivit.load(module).preprocessing == minivit.Preprocessing(crop_fraction=0.9, interpolation="bicubic")
    module = timm.create_model("deit_tiny_patch16_224", pretrained=False)
    assert minivit.load(module).preprocessing.mean == (0.485, 0.456, 0.406)
    found = minivit.load(torchvision.models.VisionTransformer(224, 32, 1, 3, 24, 40)).preprocessing
    transform = torchvision.models.ViT_B_32_Weights.IMAGENET1K_V1.transforms()
    assert (found.mean, found.std) == (tuple(transform.mean), tuple(transform.std))
    assert round(224 / found.crop_fraction) == transform.resize_size[0]
    found = minivit.load(hugging_face_vit(**TINY)).preprocessing
    assert (found.resize, found.interpolation, found.mean) == ("stretch", "bilinear", (0.5, 0.5, 0.5))


# Positions at another resolution, against each library's own code.

GRIDS = [((3, 3), (5, 5)), ((7, 7), (4, 4)), ((4, 4), (3, 6)), ((14, 14), (24, 24)), ((3, 3), (1, 2))]


@pytest.mark.parametrize("old, new", GRIDS)
@pytest.mark.parametrize("dtype, std", [(np.float64, 1.0), (np.float32, 0.1)])
def test_resampling_equals_each_library(old, new, dtype, std):
    """In float64 to rounding; in float32, at the size of trained positions, to 1e-6. timm always works in float32."""
    allowed = 1e-12 if dtype is np.float64 else 1e-6
    import scipy.ndimage
    from timm.layers import resample_abs_pos_embed
    from torchvision.models.vision_transformer import interpolate_embeddings
    table = (std * np.random.default_rng(0).standard_normal((1, 1 + old[0] * old[1], 8))).astype(dtype)
    ours = {way: minivit.checkpoints.position_resampling.resample(table, old, new, way)
            for way in minivit.checkpoints.position_resampling.WAYS}
    grid = table[0, 1:].reshape(*old, 8)

    zoomed = scipy.ndimage.zoom(grid, (new[0] / old[0], new[1] / old[1], 1), order=1)
    if min(new) > 1:        # zoom to a single point divides by zero
        assert np.abs(ours["google"][0, 1:] - zoomed.reshape(-1, 8)).max() <= allowed

    small = table * (0.1 / std)
    ours["timm"] = minivit.checkpoints.position_resampling.resample(small, old, new, "timm")
    theirs = resample_abs_pos_embed(torch.tensor(small), new_size=list(new), old_size=list(old), num_prefix_tokens=1)
    assert np.abs(ours["timm"] - theirs.numpy()).max() <= 1e-6

    embeddings = hugging_face_vit(**{**TINY, "size": old[0] * 8, "width": 8, "heads": 2}).to(
        torch.tensor(table).dtype).vit.embeddings
    if old[0] == old[1]:
        with torch.no_grad():
            embeddings.position_embeddings.copy_(torch.tensor(table))
            theirs = embeddings.interpolate_pos_encoding(torch.zeros(1, 1 + new[0] * new[1], 8), new[0] * 8, new[1] * 8)
        assert np.abs(ours["hugging_face"] - theirs.numpy()).max() <= allowed

    if old[0] == old[1] and new[0] == new[1]:
        state = interpolate_embeddings(new[0] * 8, 8, {"encoder.pos_embedding": torch.tensor(table)})
        assert np.abs(ours["torchvision"] - state["encoder.pos_embedding"].numpy()).max() <= allowed


def test_a_model_at_another_resolution_computes_what_timm_and_transformers_do():
    x = np.random.default_rng(0).uniform(-1, 1, (1, 40, 40, 3))
    module = timm_vit(**TINY)
    model = minivit.load(module, image_size=40, dtype="float64")
    module.set_input_size(img_size=(40, 40))
    assert relative(model(x), logits_of(module.double(), x)) <= 1e-6
    module = hugging_face_vit(**TINY)
    model = minivit.load(module, image_size=40, dtype="float64")
    with torch.no_grad():
        theirs = module.double()(torch.tensor(x.transpose(0, 3, 1, 2)), interpolate_pos_encoding=True).logits.numpy()
    assert relative(model(x), theirs) <= 1e-6


# compare: each convention error of a reference implementation, planted one at a time.

def parts(module):
    return [part for block in module.blocks for part in (block.attn.qkv.weight, block.attn.qkv.bias)]


def set_eps(module, eps):
    for part in module.modules():
        if isinstance(part, torch.nn.LayerNorm):
            part.eps = eps


def set_gelu(module):
    for block in module.blocks:
        block.mlp.act = torch.nn.GELU("tanh")


def reorder_qkv(module):
    for part in parts(module):
        q, k, v = part.data.clone().chunk(3)
        part.data = torch.cat([v, q, k])


def set_heads(module):
    for block in module.blocks:
        block.attn.num_heads, block.attn.head_dim = 2, 12


def interleave_heads(module):
    for part in parts(module):
        part.data = part.data.reshape(3, 8, 3, *part.shape[1:]).transpose(1, 2).reshape(part.shape)


def group_by_head(module):
    for part in parts(module):
        part.data = part.data.reshape(3, 3, 8, *part.shape[1:]).transpose(0, 1).reshape(part.shape)


def flatten_colours_last(module):
    weight = module.patch_embed.proj.weight
    weight.data = weight.data.permute(0, 2, 3, 1).reshape(weight.shape)


def positions_by_column(module):
    table = module.pos_embed.data
    patches = table[:, 1:].reshape(1, 3, 3, -1).transpose(1, 2).reshape(1, 9, -1)
    module.pos_embed.data = torch.cat([table[:, :1], patches], dim=1)


def cls_position_last(module):
    module.pos_embed.data = module.pos_embed.data.roll(1, dims=1)


def positions_before_cls(module):
    module.pos_embed.data[:, :1] = 0


def no_final_norm(module):
    module.norm = torch.nn.Identity()


def no_scale(module):
    for block in module.blocks:
        block.attn.fused_attn, block.attn.scale = False, 1.0


def scale_by_width(module):
    for block in module.blocks:
        block.attn.fused_attn, block.attn.scale = False, 24 ** -0.5


def transpose_projection(module):
    for block in module.blocks:
        block.attn.proj.weight.data = block.attn.proj.weight.data.T.contiguous()


PLANTED = [
    (lambda m: set_eps(m, 1e-12), "layer.0.norm1", "eps is 1e-12"),
    (lambda m: set_eps(m, 1e-5), "layer.0.norm1", "eps is 1e-05"),
    (lambda m: set_eps(m, 3e-6), "layer.0.norm1", "eps is 3e-06"),
    (set_gelu, "layer.0.hidden", "GELU in its tanh form"),
    (reorder_qkv, "layer.0.query", "order v, q, k"),
    (set_heads, "layer.0.query", "num_heads=2"),
    (interleave_heads, "layer.0.query", "heads are split"),
    (group_by_head, "layer.0.query", "heads are split"),
    (flatten_colours_last, "patch_embedding", "flattened in another order"),
    (positions_by_column, "embedded", "column by column"),
    (cls_position_last, "embedded", "position last"),
    (positions_before_cls, "embedded", "[CLS] has no position"),
    (no_final_norm, "norm", "final LayerNorm is missing"),
    (no_scale, "layer.0.scores", "scale of the scores is missing"),
    (scale_by_width, "layer.0.scores", "1/√D"),
    (transpose_projection, "layer.0.attended", "attn.proj.weight is transposed"),
]


@pytest.mark.parametrize("plant, first, cause", PLANTED)
def test_compare_finds_a_planted_error(plant, first, cause):
    right = timm_vit(**TINY).double()
    model = minivit.load(right)
    assert minivit.compare(model, right).agrees
    wrong = copy.deepcopy(right)
    plant(wrong)
    comparison = minivit.compare(model, wrong)
    assert not comparison.agrees
    assert comparison.first_difference == first
    assert cause in comparison.cause and ";" not in comparison.cause
    assert "<- first" in repr(comparison) and cause in repr(comparison)


@pytest.mark.parametrize("plant, first, cause", [row for row in PLANTED if "3e-06" not in row[2]])
def test_compare_finds_a_planted_error_from_the_logits_alone(plant, first, cause):
    right = timm_vit(**TINY).double()
    wrong = copy.deepcopy(right)
    plant(wrong)
    steps, _ = torch_trace(wrong, pixels(24))
    comparison = minivit.compare(minivit.load(right), {"pixels": pixels(24), "logits": steps["logits"]})
    assert comparison.first_difference == "logits"
    assert cause in comparison.cause and ";" not in comparison.cause


@pytest.mark.parametrize("way", ["google", "hugging_face", "torchvision"])
def test_compare_names_another_way_of_resampling(way):
    module = timm_vit(**TINY)
    model = minivit.load(module, image_size=40, resample=way)
    module.set_input_size(img_size=(40, 40))
    comparison = minivit.compare(model, module)
    assert comparison.first_difference == "embedded"
    assert f'resample="timm", found "{way}"' in comparison.cause


def test_compare_names_several_causes_one_after_another():
    right = timm_vit(**TINY).double()
    wrong = copy.deepcopy(right)
    for plant in (lambda m: set_eps(m, 1e-12), set_gelu, no_final_norm):
        plant(wrong)
    cause = minivit.compare(minivit.load(right), wrong).cause
    assert "eps is 1e-12" in cause and "tanh form" in cause and "final LayerNorm is missing" in cause


@pytest.mark.parametrize("library", LIBRARIES)
def test_compare_of_gradients(library):
    module = LIBRARIES[library](**TINY).double()
    model = minivit.load(module)
    comparison = minivit.compare(model, module, gradients=True)
    assert comparison.agrees
    names = {row.name.removeprefix(GRADIENT) for row in comparison.rows if row.name.startswith(GRADIENT)}
    assert names == {"pixels", *minivit.state_dict(model)}
    other = minivit.load(module, gelu="tanh")
    comparison = minivit.compare(other, module, gradients=True)
    assert comparison.first_difference == "layer.0.hidden" and 'gelu="erf", found "tanh"' in comparison.cause
    assert not next(row for row in comparison.rows if row.name == GRADIENT + "pixels").agrees


# Flax: a ViT from flax.linen with Google's names.

def flax_vit(size, patch, width, layers, heads, mlp, classes):
    import flax.linen as nn
    import jax.numpy as jnp

    class MlpBlock(nn.Module):
        @nn.compact
        def __call__(self, x):
            hidden = nn.gelu(nn.Dense(mlp, name="Dense_0")(x))
            return nn.Dense(width, name="Dense_1")(hidden)

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = x + nn.MultiHeadDotProductAttention(num_heads=heads, name="MultiHeadDotProductAttention_0")(
                nn.LayerNorm(name="LayerNorm_0")(x))
            return x + MlpBlock(name="MlpBlock_0")(nn.LayerNorm(name="LayerNorm_1")(x))

    class Positions(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x + self.param("pos_embedding", nn.initializers.normal(0.02), (1, *x.shape[1:]))

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = Positions(name="posembed_input")(x)
            for i in range(layers):
                x = Block(name=f"encoderblock_{i}")(x)
            return nn.LayerNorm(name="encoder_norm")(x)

    class ViT(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Conv(width, (patch, patch), strides=(patch, patch), padding="VALID", name="embedding")(x)
            x = x.reshape(len(x), -1, width)
            cls = self.param("cls", nn.initializers.zeros, (1, 1, width))
            x = jnp.concatenate([jnp.tile(cls, (len(x), 1, 1)), x], axis=1)
            return nn.Dense(classes, name="head")(Transformer(name="Transformer")(x)[:, 0])

    return ViT()


def peaked_flax_arrays(shapes, width, seed=0):
    """{Google's name: random array}, peaked as `libraries.peaked` makes it."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        if name.endswith(("scale", "bias")):
            arrays[name] = rng.standard_normal(shape) * 0.1 + name.endswith("scale")
        elif "pos_embedding" in name or name == "cls":
            arrays[name] = rng.standard_normal(shape) * 0.5
        elif "query" in name or "key" in name:
            arrays[name] = rng.standard_normal(shape) * 1.8 / width ** 0.5
        else:
            arrays[name] = rng.standard_normal(shape) * 0.8 / np.prod(shape[:-1]) ** 0.5
            if "value" in name:
                arrays[name] *= shape[1] ** 0.5
    return {name: array.astype(np.float32) for name, array in arrays.items()}


SPELLINGS = {"linen": {}, "original": {"MultiHeadDotProductAttention_0": "MultiHeadDotProductAttention_1",
                                       "LayerNorm_1": "LayerNorm_2", "MlpBlock_0": "MlpBlock_3"}}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("prefix", ["", "params/", "opt/target/"])
@pytest.mark.parametrize("sizes", [TINY, B16], ids=["tiny", "B/16"])
def test_flax_with_google_names(sizes, prefix, spelling, tmp_path):
    if sizes is B16 and (prefix or spelling == "original"):
        pytest.skip("the spelling does not depend on the size")
    import jax
    from flax.traverse_util import flatten_dict, unflatten_dict
    module = flax_vit(**sizes)
    x = pixels(sizes["size"]).astype(np.float32)
    shapes = flatten_dict(jax.eval_shape(module.init, jax.random.key(0), x)["params"], sep="/")
    arrays = peaked_flax_arrays({name: leaf.shape for name, leaf in shapes.items()}, sizes["width"])
    with jax.default_matmul_precision("highest"):
        theirs = np.asarray(module.apply({"params": unflatten_dict(arrays, sep="/")}, x))

    def spelt(name):
        for new, old in SPELLINGS[spelling].items():
            name = name.replace(new, old)
        return prefix + name

    np.savez(tmp_path / "google.npz", **{spelt(name): array for name, array in arrays.items()})
    model = minivit.load(tmp_path / "google.npz")
    assert (model.config.gelu, model.config.layer_norm_eps, model.config.num_heads) == ("tanh", 1e-6, sizes["heads"])
    largest = np.abs(model(x) - theirs).max()
    print(f"flax: largest difference of logits in float32 {largest:.1e}")
    assert theirs.std() > 0.3 and largest <= 5e-5
    if sizes is B16:
        assert all(0.2 <= peakedness(a) <= 0.45 for a in minivit.tracing.attention_maps(model, x))
    assert relative_error(model(x), theirs) <= 1e-4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_file_of_every_dtype_is_what_torch_makes_of_the_weights(tmp_path, dtype):
    """Bit by bit: rounding to the nearest, ties to even, and the format's own reader."""
    import torch
    from safetensors.torch import load_file
    model = minivit.load()
    minivit.save(model, tmp_path / "ours.safetensors", dtype=dtype)
    found = load_file(tmp_path / "ours.safetensors")
    expected = minivit.state_dict(model)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        theirs = torch.from_numpy(np.array(array)).to(getattr(torch, dtype))
        assert found[name].dtype == theirs.dtype and torch.equal(found[name], theirs), name
