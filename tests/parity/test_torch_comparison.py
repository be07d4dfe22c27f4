"""`compare` with torch modules of every make: older classes, wrappers, grids of patches, and what cannot be watched."""

import numpy as np
import old_modules
import pytest
from libraries import TINY, peaked, pixels, timm_vit, torch

import minivit
from minivit.checking.verdict import GRADIENT

pytestmark = pytest.mark.parity

OLD = {"DeiT": old_modules.DeiT, "MoCo v3": old_modules.MoCo, "DINO": old_modules.DINO, "timm 0.4.12":
       old_modules.VisionTransformer}


def nchw(x):
    return torch.tensor(x.transpose(0, 3, 1, 2))


def with_weights_of(module):
    """minivit's model with a module's weights, handed over by name: what is judged here is `compare`."""
    state = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    width = state["cls_token"].shape[-1]
    config = minivit.ViTConfig(patch_size=8, width=width, num_layers=2, mlp_width=40, num_heads=3, image_size=24,
                               num_classes=5 if "head.weight" in state else 0,
                               pool="mean" if "fc_norm.weight" in state else "cls")
    model = minivit.init(config, dtype="float64")
    for name, weight in minivit.trees.flatten(model.params).items():
        weight[...] = minivit.checkpoints.timm.from_timm(name, state[name])
    return model


@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize("gradients", [False, True])
def test_older_classes_agree(name, gradients):
    module = peaked(OLD[name](), 24).double().eval()
    comparison = minivit.compare(with_weights_of(module), module, gradients=gradients)
    assert comparison.agrees, comparison
    names = {row.name for row in comparison.rows}
    assert {"patch_embedding", "embedded", "layer.1.scores", "layer.1.attention", "layer.1.output", "norm",
            "representation"} <= names
    assert ("logits" in names) is (name != "DINO")
    if gradients:
        assert {GRADIENT + "pixels", GRADIENT + "blocks.0.attn.qkv.weight", GRADIENT + "pos_embed"} <= names
        assert all(row.relative < 1e-10 for row in comparison.rows if "blocks" in row.name)


@pytest.mark.parametrize("global_pool", [False, True])
def test_mae(global_pool):
    module = peaked(old_modules.MAE(global_pool), 24).double().eval()
    model = with_weights_of(module)
    with torch.no_grad():
        assert np.abs(model(pixels(24)) - module(nchw(pixels(24))).numpy()).max() < 1e-12
    assert minivit.compare(model, module).agrees


def test_a_mistake_in_an_older_class_is_named():
    module = peaked(old_modules.DeiT(), 24).double().eval()
    model = with_weights_of(module)
    for block in module.blocks:
        block.mlp.act = torch.nn.SiLU()
    comparison = minivit.compare(model, module)
    assert comparison.first_difference == "layer.0.hidden" and "SiLU" in comparison.cause


@pytest.mark.parametrize("options", [{"dynamic_img_size": True}, {"no_embed_class": True}], ids=str)
def test_a_grid_of_patches_and_positions_without_cls(options):
    module = timm_vit(**TINY, **options).double()
    model = minivit.load(module)
    comparison = minivit.compare(model, module, gradients=True)
    assert comparison.agrees and comparison.cause is None, comparison
    assert {"patch_embedding", GRADIENT + "pos_embed"} <= {row.name for row in comparison.rows}
    with torch.no_grad():
        module.pos_embed[:, -1] += 0.1
    comparison = minivit.compare(model, module, gradients=True)
    assert comparison.first_difference == "embedded" and not comparison.agrees


def wrapped_blocks(module):
    module.blocks[0].mlp = torch.compile(module.blocks[0].mlp)
    return module


WRAPPED = {"torch.compile": torch.compile, "DataParallel": torch.nn.DataParallel, "a compiled part": wrapped_blocks,
           "both": lambda m: torch.compile(torch.nn.DataParallel(m)),
           "checkpointed": lambda m: (m.set_grad_checkpointing(True), m)[1]}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("gradients", [False, True])
def test_wrappers(name, gradients):
    module = timm_vit(**TINY).double()
    model = minivit.load(module)
    comparison = minivit.compare(model, WRAPPED[name](module), gradients=gradients)
    assert comparison.agrees
    assert len([row for row in comparison.rows if row.name.startswith("layer.")]) == 24


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_gradients_inside_of_no_grad(around):
    module = timm_vit(**TINY).double()
    model = minivit.load(module)
    with around():
        assert minivit.compare(model, module, gradients=True).agrees


def test_torchscript_shows_its_logits():
    module = timm_vit(**TINY).double()
    model = minivit.load(module)
    script = torch.jit.trace(module, nchw(pixels(24)))
    comparison = minivit.compare(model, script)
    assert comparison.agrees and [row.name for row in comparison.rows] == ["logits"]
    with torch.no_grad():
        module.head.bias += 1.0
    assert not minivit.compare(model, torch.jit.trace(module, nchw(pixels(24)))).agrees
    with pytest.raises(ValueError, match="shows no gradients") as error:
        minivit.compare(model, script, gradients=True)
    assert "\n" not in str(error.value)


def test_quantised_and_empty_modules_are_refused_in_one_line():
    module = timm_vit(**TINY)
    model = minivit.load(module)
    quantised = torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)
    with pytest.raises(ValueError, match="is quantised") as error:
        minivit.compare(model, quantised)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="meta device"):
        minivit.compare(model, timm_vit(**TINY).to("meta"))
    with pytest.raises(ValueError, match="does not take images"):
        minivit.compare(model, timm_vit(**{**TINY, "size": 32}))


def test_a_module_without_the_head_that_gradients_need():
    module = peaked(old_modules.DINO(classes=5), 24).double().eval()
    model = with_weights_of(module)
    assert minivit.compare(model, module).agrees                        # DINO never calls its head: no row of logits
    with pytest.raises(ValueError, match="no head"):
        minivit.compare(model, module, gradients=True)


def test_sharp_attention_in_float32_is_rounding_and_no_cause():
    """timm's own float32 steps, attention ever sharper: they agree, and no eps is named that cannot be."""
    for sharp in (1.0, 3.0):
        module = timm_vit(size=64, patch=8, width=48, layers=6, heads=3, mlp=96, classes=11)
        with torch.no_grad():
            for block in module.blocks:
                block.attn.qkv.weight[:96] *= sharp
        model = minivit.load(module, dtype="float64")
        steps, x = {"pixels": pixels(64).astype("f4")}, pixels(64).astype("f4")

        def keep(name, steps=steps):
            return lambda module, inputs, output: steps.__setitem__(name, output.detach().numpy())
        for i, block in enumerate(module.blocks):
            for name, part in (("norm1", block.norm1), ("attended", block.attn.proj), ("norm2", block.norm2),
                               ("mlp", block.mlp.fc2), ("output", block)):
                part.register_forward_hook(keep(f"layer.{i}.{name}"))
        module.head.register_forward_hook(keep("logits"))
        with torch.no_grad():
            module(nchw(x))
        comparison = minivit.compare(model, steps)
        assert comparison.agrees and comparison.cause is None, comparison
        steps["layer.3.mlp"] = steps["layer.3.mlp"] * np.float32(1.001)
        comparison = minivit.compare(model, steps)
        assert comparison.first_difference == "layer.3.mlp"
