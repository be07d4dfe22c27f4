"""What names say, beside the libraries: counts of the variants, timm's architectures, DINO's positions, refusals."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from libraries import torch
from relatives import CLASSES, HEADS, SQUARE, small, timm_relative

import minivit
from minivit.checkpoints import module_settings, timm_architectures, timm_config
from minivit.checkpoints.position_resampling import resample
from minivit.checkpoints.timm import expected_shapes
from minivit.variants import PLAIN, RELATIVES, as_config

pytestmark = pytest.mark.parity


def on_meta(make):
    with torch.device("meta"):
        return make()


def weights(module):
    return sum(p.numel() for p in module.parameters())


SIZES = {"Ti": "tiny", "S": "small", "B": "base", "L": "large", "g": "giant", "G": "gigantic", "H": "huge"}


def counterpart(name):
    """(timm's or transformers' model for a relative, minivit's config with as many classes)."""
    import timm
    family, *_ = name.split("/")[0].split(" ")[0].split("-")
    size, patch = name.split(" ")[0].split("-")[-1].split("/") if "-" in name else name.split(" ")[0].split("/")
    config = RELATIVES[name]
    if family == "MAE":
        from transformers import ViTMAEConfig, ViTMAEModel
        made = ViTMAEConfig(hidden_size=config.width, num_hidden_layers=config.num_layers, patch_size=int(patch),
                            num_attention_heads=config.num_heads, intermediate_size=config.mlp_width)
        return on_meta(lambda: ViTMAEModel(made)), config
    if "MAP" in name:
        module = on_meta(lambda: timm.create_model(f"vit_{SIZES[size]}_patch{patch}_224", global_pool="map",
                                                   class_token=False))
        return module, config
    theirs = {"DeiT": f"deit_{SIZES.get(size)}_distilled_patch{patch}_224",
              "DINOv2": f"vit_{SIZES.get(size)}_patch{patch}_{'reg4_' * ('registers' in name)}dinov2",
              "CLIP": f"vit_{SIZES.get(size)}_patch{patch}_clip_quickgelu_224",
              "SigLIP": f"vit_{SIZES.get(size, 'so400m')}_patch{patch}_siglip_{config.image_size}"}[family]
    module = on_meta(lambda: timm.create_model(theirs))
    classes = module.head.out_features if hasattr(module.head, "out_features") else 0
    return module, as_config(config, num_classes=classes)


@pytest.mark.parametrize("name", RELATIVES)
def test_a_relative_has_as_many_parameters_as_its_librarys(name):
    module, config = counterpart(name)
    assert minivit.parameter_count(config) == weights(module)
    if name.startswith("MAE"):
        return
    heads = {block.attn.num_heads for block in module.blocks}
    assert heads == {config.num_heads} and len(module.blocks) == config.num_layers
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    assert expected_shapes(config) == expected


@pytest.mark.parametrize("options", [
    {}, {"init_values": 1e-5, "reg_tokens": 2, "no_embed_class": True}, {"global_pool": "map", "class_token": False},
    {"global_pool": "map", "pool_include_prefix": True}, {"global_pool": "avg"}, {"pre_norm": True}, "distilled",
    "gated"], ids=str)
def test_multiply_adds_are_those_that_torch_counts(options):
    from relatives import giant_of_timm
    from torch.utils.flop_counter import FlopCounterMode
    module = (timm_relative("VisionTransformerDistilled") if options == "distilled" else giant_of_timm()
              if options == "gated" else timm_relative(**options))
    config = minivit.load(module).config
    for part in module.requires_grad_(False).modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = False                     # torch counts matrix products, not its fused attention
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, *config.height_width))
    assert counter.get_total_flops() == 2 * minivit.macs(config)


def timms_architectures():
    """(name, module) of every plain-blocked ViT of timm whose name timm_architectures knows."""
    import timm
    for module in ("vision_transformer", "deit"):
        for name in timm.list_models(module=module):
            if timm_architectures.NAMED.match(name) and not timm_architectures.other_layers(name):
                made = on_meta(lambda name=name: timm.create_model(name))
                if type(made.blocks[0]).__name__ == "Block":
                    yield name, made


def test_what_the_names_of_timms_architectures_say():
    """Heads, GELU, eps, registers, qkv_bias and whether [CLS] has a position, of all with a plain ViT's blocks."""
    seen = 0
    for name, module in timms_architectures():
        seen += 1
        assert timm_architectures.heads(name) == module.blocks[0].attn.num_heads, name
        norms = [part for part in module.modules() if isinstance(part, torch.nn.LayerNorm)]
        assert timm_architectures.eps(name) == module_settings.same_eps(norms), name
        if not module_settings.all_gated([block.mlp for block in module.blocks]):
            form = module_settings.gelu_form(module.blocks[0].mlp.act)
            assert timm_config.GELU_FORMS[timm_architectures.activation(name)] == form, name
        assert timm_architectures.registers(name) == module.num_reg_tokens, name
        assert timm_architectures.has_qkv_bias(name) == (module.blocks[0].attn.qkv.bias is not None), name
        if module.has_class_token or module.num_reg_tokens:
            assert timm_architectures.has_no_prefix_positions(name) == module.no_embed_class, name
    assert seen >= 140


def test_architectures_with_other_layers_are_refused_by_name():
    import timm
    others = [name for name in timm.list_models(module="vision_transformer") if timm_architectures.other_layers(name)]
    assert {name.split("_")[0] for name in others} == {"vit", "aimv2"}
    source = SimpleNamespace(label="a folder")
    for name in others:
        with pytest.raises(minivit.CheckpointError, match="which minivit does not have"):
            timm_config.fields({"architecture": name, "pretrained_cfg": {}}, source, {})


@pytest.mark.parametrize("old, new", [((7, 7), (4, 4)), ((3, 3), (5, 5)), ((4, 4), (3, 6)), ((16, 16), (37, 37))])
def test_dinos_resampling(old, new):
    """interpolate_pos_encoding of DINO and DINOv2: by a scale factor, of a grid that is 0.1 larger."""
    table = np.random.default_rng(0).standard_normal((1, 1 + old[0] * old[1], 8))
    grid = torch.tensor(table[:, 1:]).reshape(1, *old, 8).permute(0, 3, 1, 2)
    theirs = torch.nn.functional.interpolate(
        grid, scale_factor=((new[0] + 0.1) / old[0], (new[1] + 0.1) / old[1]), mode="bicubic")
    assert theirs.shape[-2:] == new
    theirs = theirs.permute(0, 2, 3, 1).reshape(1, -1, 8).numpy()
    ours = resample(table, old, new, "dino")
    assert np.abs(ours[:, 1:] - theirs).max() <= 1e-12 and np.array_equal(ours[:, 0], table[:, 0])


@pytest.mark.parametrize("make, said", [
    (lambda: small("Dinov2ForImageClassification", "Dinov2Config", num_labels=CLASSES),
     r"classifier.weight reads \[CLS\] and the mean of the patches side by side"),
    (lambda: small("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", num_labels=CLASSES),
     r"classifier.weight reads \[CLS\] and the mean of the patches side by side"),
    (lambda: timm_relative(global_pool="map", fc_norm=True), "final norm after attention pooling"),
    (lambda: timm_relative(reg_tokens=4), "positions do not cover"),
    (lambda: timm_relative(qk_norm=True), "normalised queries and keys"),
    (lambda: timm_relative(mlp_layer=swiglu(gate_last=True)), "the gate last"),
    (lambda: timm_relative(mlp_layer=swiglu(act_layer=torch.nn.Sigmoid)), "with Sigmoid"),
    (lambda: timm_relative(mlp_layer=plain_swiglu()), "has no place"),
    (lambda: timm_relative(global_pool="prr"), "attention pooling without a latent"),
    (lambda: timm_relative(block_fn=residual_post()), "timm's ResPostBlock"),
    (lambda: dinov3(), "embeddings.cls_token is the first tensor without a place"),
    (lambda: eva(), "has no place"),
    (lambda: classifier("CLIP"), "a classifier on the mean of CLIP's or SigLIP's patches"),
    (lambda: classifier("Siglip"), "a classifier on the mean of CLIP's or SigLIP's patches"),
    (lambda: small("Siglip2VisionModel", "Siglip2VisionConfig"), "expected 4 axes"),
], ids=range(15))
def test_what_minivit_does_not_have_is_refused_in_one_line(make, said):
    with pytest.raises(minivit.CheckpointError, match=said) as caught:
        minivit.load(make())
    assert "\n" not in str(caught.value)


def swiglu(**options):
    """A gated MLP of timm's with these settings; those that timm gives it itself are overruled."""
    from timm.layers import GluMlp

    def made(**theirs):
        return GluMlp(**{**theirs, "act_layer": torch.nn.SiLU, "gate_last": False, **options})
    return made


def classifier(name):
    """CLIP's or SigLIP's vision tower below a classifier."""
    import transformers
    config = getattr(transformers, f"{name}Config")(vision_config=SQUARE, num_labels=CLASSES)
    return getattr(transformers, f"{name}ForImageClassification")(config)


def plain_swiglu():
    from timm.layers import SwiGLU
    return SwiGLU


def residual_post():
    from timm.models.vision_transformer import ResPostBlock
    return ResPostBlock


def dinov3():
    from transformers import DINOv3ViTConfig, DINOv3ViTModel
    return DINOv3ViTModel(DINOv3ViTConfig(**SQUARE))


def eva():
    from timm.models.eva import Eva
    return Eva(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=HEADS, num_classes=CLASSES)


def test_the_body_of_a_model_whose_head_is_another():
    module = small("Dinov2ForImageClassification", "Dinov2Config", num_labels=CLASSES).double()
    model = minivit.load(module, num_classes=0)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3))
    with torch.no_grad():
        theirs = module.dinov2(torch.tensor(x.transpose(0, 3, 1, 2))).last_hidden_state[:, 0].numpy()
    assert np.abs(model(x) - theirs).max() <= 1e-12 * np.abs(theirs).max()


def test_a_timm_folder_of_each_family(tmp_path):
    """save_for_hf's folder, whose config.json names the architecture alone."""
    import timm
    x = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3))
    for name, image in (("deit_tiny_distilled_patch16_224", 224), ("vit_small_patch14_dinov2", 518)):
        module = timm.create_model(name).eval()
        timm.models.save_for_hf(module, tmp_path / name)
        model = minivit.load(tmp_path / name, dtype="float64")
        assert model.config.image_size == image
        about = json.loads((tmp_path / name / "config.json").read_text("utf-8"))["pretrained_cfg"]
        assert model.preprocessing.mean == tuple(about["mean"]) == (0.485, 0.456, 0.406)
        if image == 224:
            with torch.no_grad():
                theirs = module.double()(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
            assert np.abs(model(x) - theirs).max() <= 1e-12 * np.abs(theirs).max()


def test_the_plain_variants_are_timms():
    import timm
    for name in PLAIN:
        size, patch = name.split("/")
        module = on_meta(lambda s=size, p=patch: timm.create_model(f"vit_{SIZES[s]}_patch{p}_224",
                                                                               num_classes=1000))
        assert minivit.parameter_count(name) == weights(module)
