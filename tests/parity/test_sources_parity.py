"""What modules, folders and image processors say: honoured as their own libraries honour it, or refused by name."""

import argparse
import json
import warnings
from pathlib import PurePosixPath

import numpy as np
import pytest
from libraries import TINY, hugging_face_vit, peaked, pixels, relative, timm_vit, torch, torchvision_vit
from PIL import Image

import minivit

pytestmark = pytest.mark.parity
PHOTO = Image.open(minivit.samples.CAT).convert("RGB")


def logits_of(module, x, **options):
    with torch.no_grad():
        output = module(torch.tensor(x.transpose(0, 3, 1, 2), dtype=next(module.parameters()).dtype), **options)
    if hasattr(output, "last_hidden_state"):
        return output.last_hidden_state[:, 0].numpy()
    return getattr(output, "logits", output).numpy()


# timm's modules: every read-out, activation, norm and layer

POOLS = [("token", None, "cls"), ("token", True, "cls"), ("avg", None, "mean"), ("avg", True, "mean"),
         ("avg", False, "normed_mean"), ("max", None, "the largest value"),
         ("max", False, "the largest value"), ("avgmax", None, "half the mean and half"), ("", None, "no pooling")]


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("include_prefix", [False, True])
@pytest.mark.parametrize("global_pool, fc_norm, expected", POOLS)
def test_every_read_out_of_timm(global_pool, fc_norm, expected, include_prefix, class_token, tmp_path):
    if global_pool == "token" and not class_token:
        return                                                          # which timm itself refuses
    module = timm_vit(**TINY, global_pool=global_pool, fc_norm=fc_norm, pool_include_prefix=include_prefix,
                      class_token=class_token).double()
    module.pretrained_cfg = {"architecture": "vit_tiny_patch16_224", "input_size": (3, 24, 24)}
    from timm.models import save_for_hf
    args = {"num_heads": 3, "global_pool": global_pool, "fc_norm": fc_norm, "pool_include_prefix": include_prefix}
    save_for_hf(module, tmp_path, model_args={name: value for name, value in args.items() if value is not None})
    for source in (module, tmp_path):
        if expected in ("cls", "mean", "normed_mean"):
            model = minivit.load(source, dtype="float64")
            assert model.config.pool == expected
            assert model.config.pool_prefix == (include_prefix and expected != "cls")
            assert relative(model(pixels(24)), logits_of(module, pixels(24))) <= 1e-12
        else:
            with pytest.raises(minivit.CheckpointError, match=expected):
                minivit.load(source)


def timm_parts():
    from functools import partial

    from timm.layers import LayerNorm, QuickGELU, RmsNorm
    from timm.models import vision_transformer as v
    return [({"act_layer": QuickGELU}, None), ({"act_layer": torch.nn.ReLU}, "ReLU"),
            ({"act_layer": "silu"}, "SiLU"), ({"act_layer": "gelu_tanh"}, None), ({"norm_layer": RmsNorm}, "norm"),
            ({"norm_layer": partial(LayerNorm, eps=1e-5)}, None), ({"norm_layer": "layernorm"}, None),
            ({"block_fn": v.ResPostBlock}, "ResPostBlock"), ({"block_fn": v.ParallelScalingBlock}, "has no place"),
            ({"qk_norm": True}, "normalised queries"), ({"init_values": 0.1}, None),
            ({"qkv_bias": False}, None), ({"pre_norm": True}, None),
            ({"final_norm": False}, "norm is Identity"), ({"reg_tokens": 2}, "positions do not cover"),
            ({"reg_tokens": 2, "no_embed_class": True}, None),
            ({"embed_norm_layer": LayerNorm}, "patch_embed.norm"), ({"scale_attn_norm": True}, "has no place"),
            ({"no_embed_class": True}, None), ({"dynamic_img_size": True}, None), ({"drop_path_rate": 0.5}, None)]


@pytest.mark.parametrize("options, refused", timm_parts(), ids=lambda value: str(value)[:40])
def test_every_part_of_timms_transformer(options, refused):
    module = timm_vit(**TINY, **options).double()
    if refused is None:
        assert relative(minivit.load(module)(pixels(24)), logits_of(module, pixels(24))) <= 1e-12
    else:
        with pytest.raises(minivit.CheckpointError, match=refused):
            minivit.load(module)


def test_a_norm_that_timm_computes_in_float32():
    """The same norm; in float64 timm's own rounding to float32 is what differs."""
    from timm.layers import LayerNormFp32
    module = timm_vit(**TINY, norm_layer=LayerNormFp32)
    assert minivit.load(module).config.layer_norm_eps == module.norm.eps
    assert np.abs(minivit.load(module)(pixels(24)) - logits_of(module, pixels(24))).max() <= 5e-6


def test_modules_whose_layers_differ():
    for change, said in ((lambda m: setattr(m.blocks[1].norm2, "eps", 1e-3), "eps"),
                         (lambda m: setattr(m.blocks[1].attn, "num_heads", 6), "num_heads"),
                         (lambda m: setattr(m.norm, "eps", 1e-3), "eps"),
                         (lambda m: setattr(m.blocks[0].attn, "scale", 1.0), "scales its scores"),
                         (lambda m: setattr(m.blocks[1].mlp, "act", torch.nn.ReLU()), "ReLU")):
        module = timm_vit(**TINY)
        change(module)
        with pytest.raises(minivit.CheckpointError, match=said):
            minivit.load(module)


def test_heads_of_modules():
    linear = torch.nn.Linear(24, 5)
    for head, right in ((torch.nn.Sequential(torch.nn.Dropout(0.5), linear), True), (torch.nn.Sequential(linear), True),
                        (torch.nn.Sequential(linear, torch.nn.ReLU()), False),
                        (torch.nn.Sequential(torch.nn.Tanh(), linear), False), (torch.nn.Softmax(-1), False)):
        for module, name in ((timm_vit(**TINY), "head"), (hugging_face_vit(**TINY), "classifier"),
                             (torchvision_vit(**TINY), "heads")):
            setattr(module, name, head)
            module = module.double().eval()
            if right:
                assert relative(minivit.load(module)(pixels(24)), logits_of(module, pixels(24))) <= 1e-12
            else:
                with pytest.raises(minivit.CheckpointError, match="head"):
                    minivit.load(module)


# Wrappers of modules and files

class Within(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.backbone = module


@pytest.mark.parametrize("library", [timm_vit, hugging_face_vit, torchvision_vit])
def test_wrapped_modules_keep_their_settings(library):
    module = library(**TINY).double()
    expected = logits_of(module, pixels(24))
    for wrapped in (torch.nn.DataParallel(module), torch.compile(module), Within(module), Within(Within(module))):
        model = minivit.load(wrapped)
        assert model.config == minivit.load(module).config and model.dtype == np.float64
        assert relative(model(pixels(24)), expected) <= 1e-12


def test_torchscript_and_quantised_modules(capsys, tmp_path):
    module = timm_vit(**TINY).double()
    traced = torch.jit.trace(module, torch.zeros(1, 3, 24, 24, dtype=torch.float64))
    with pytest.raises(minivit.CheckpointError, match="give num_heads="):
        minivit.load(traced)
    assert relative(minivit.load(traced, num_heads=3)(pixels(24)), logits_of(module, pixels(24))) <= 1e-12
    assert "TorchScript keeps no record" in capsys.readouterr().err
    torch.jit.save(traced, tmp_path / "traced.pt")
    with pytest.raises(minivit.CheckpointError, match=r"a TorchScript archive: give minivit\.load"):
        minivit.load(tmp_path / "traced.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(timm_vit(**TINY), {torch.nn.Linear}, dtype=torch.qint8)
    with pytest.raises(minivit.CheckpointError, match="is quantised"):
        minivit.load(quantised)


@pytest.mark.parametrize("content, named", [
    ({"args": argparse.Namespace(lr=1)}, "argparse.Namespace"), ({"loss": np.float64(3)}, "scalar"),
    ({"out": PurePosixPath("a")}, r"pathlib\S*"), ({"whole": torch.nn.Linear(2, 2)}, "linear.Linear")])
def test_a_refused_pickle_names_what_is_in_it_and_how_to_convert(content, named, tmp_path):
    torch.save({"model": timm_vit(**TINY).state_dict()} | content, tmp_path / "a.pth")
    with pytest.raises(minivit.CheckpointError, match=rf"holds a \S*{named}, which only.*weights_only=False") as caught:
        minivit.load(tmp_path / "a.pth", num_heads=3)
    assert "\n" not in str(caught.value)


def test_checkpoints_of_training_scripts(tmp_path):
    """A momentum pair, a student and a teacher, an average beside the weights, a decoder; and what each is asked."""
    module = timm_vit(**TINY).double()
    state, expected = module.state_dict(), logits_of(module, pixels(24))
    other = {name: tensor + 1 for name, tensor in state.items()}

    def wrapped(prefix, tensors):
        return {prefix + name: tensor for name, tensor in tensors.items()}

    moco = {"state_dict": wrapped("module.base_encoder.", state) | wrapped("module.momentum_encoder.", other)}
    dino = {"student": wrapped("module.backbone.", other), "teacher": wrapped("backbone.", state), "epoch": 3}
    averaged = {"state_dict": other, "state_dict_ema": state, "optimizer": {"state": {}, "param_groups": []}}
    mae = {"model": state | {"mask_token": torch.zeros(1, 1, 8), "decoder_embed.weight": torch.zeros(8, 24)}}
    for content, asked, answer in ((moco, "prefix=", {"prefix": "module.base_encoder."}), (mae, None, {}),
                                   (dino, "key=", {"key": "teacher"}), (averaged, "key=", {"key": "state_dict_ema"})):
        torch.save(content, tmp_path / "a.pth")
        for source in (tmp_path / "a.pth", content):
            if asked:
                with pytest.raises(minivit.CheckpointError, match=asked):
                    minivit.load(source, num_heads=3)
            model = minivit.load(source, num_heads=3, dtype="float64", **answer)
            assert relative(model(pixels(24)), expected) <= 1e-12


# transformers: the relatives that have ViT's names

SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40, "image_size": 24,
         "patch_size": 8}


@pytest.mark.parametrize("name", ["ViTMSNModel", "ViTMSNForImageClassification", "ViTMAEModel", "ViTMAEForPreTraining",
                                  "ViTForMaskedImageModeling"])
def test_relatives_of_transformers(name, tmp_path):
    import transformers
    from torch import arange
    kind = {"ViTMSN": transformers.ViTMSNConfig, "ViTMAE": transformers.ViTMAEConfig}
    kind = kind.get(name[:6], transformers.ViTConfig)
    options = {"mask_ratio": 0.0} if "MAE" in name else {}
    if "Pre" in name:
        options |= {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    if "Masked" in name:
        options |= {"encoder_stride": 8}
    module = peaked(getattr(transformers, name)(kind(**SMALL, **options)), 24).double()
    module.save_pretrained(tmp_path)
    encoder = getattr(module, "vit", module)
    if name.endswith("Classification"):
        expected = logits_of(module, pixels(24))
    elif "MAE" in name:
        expected = logits_of(encoder, pixels(24), noise=arange(9.0)[None].double())
    else:
        expected = logits_of(encoder, pixels(24))
    for source in (module, tmp_path):
        model = minivit.load(source, dtype="float64")
        assert model.config.num_heads == 4 and model.config.layer_norm_eps == module.config.layer_norm_eps
        assert relative(model(pixels(24)), expected) <= 1e-12


def test_attention_without_biases(tmp_path):
    """Query, key and value have none, in a module and in a folder; and GELU in its quick form."""
    import transformers
    module = peaked(transformers.ViTModel(transformers.ViTConfig(**SMALL, qkv_bias=False, hidden_act="quick_gelu")), 24)
    module.save_pretrained(tmp_path)
    expected = logits_of(module.double(), pixels(24))
    for source in (module, tmp_path):
        model = minivit.load(source, dtype="float64")
        assert (model.config.qkv_bias, model.config.gelu) == (False, "quick")
        assert relative(model(pixels(24)), expected) <= 1e-12


def test_relatives_that_are_refused(tmp_path):
    import transformers as t
    config = {name: value for name, value in SMALL.items() if name != "image_size"}
    for module, said in ((t.YolosModel(t.YolosConfig(**config, image_size=[24, 24])), "has no place|model_type"),
                         (t.BeitModel(t.BeitConfig(**SMALL)), "has no place"),
                         (t.ViTModel(t.ViTConfig(**SMALL, hidden_act="silu")), "silu")):
        folder = tmp_path / type(module).__name__
        module.save_pretrained(folder)
        for source in (module, folder):
            with pytest.raises(minivit.CheckpointError, match=said):
                minivit.load(source)


# transformers: image processors, whose own output is the reference

PROCESSORS = [
    ("ViTImageProcessor", {}), ("ViTImageProcessor", {"do_normalize": False}),
    ("ViTImageProcessor", {"do_rescale": False}), ("ViTImageProcessor", {"resample": 3}),
    ("ViTImageProcessor", {"rescale_factor": 1 / 127.5, "do_normalize": False}),
    ("ViTImageProcessor", {"rescale_factor": 1 / 127.5}), ("ViTImageProcessor", {"image_mean": 0.3, "image_std": 0.2}),
    ("ViTImageProcessor", {"do_rescale": False, "do_normalize": False}),
    ("ViTImageProcessor", {"size": {"height": 257, "width": 257}, "do_center_crop": True, "crop_size": 224}),
    ("DeiTImageProcessor", {}),
    ("DeiTImageProcessor", {"do_center_crop": False, "size": {"height": 224, "width": 224}}),
    ("BeitImageProcessor", {}), ("CLIPImageProcessor", {}), ("CLIPImageProcessor", {"size": {"shortest_edge": 248}}),
    ("BitImageProcessor", {"size": {"shortest_edge": 256}}), ("SiglipImageProcessor", {}),
]


@pytest.mark.parametrize("width, height", [(300, 200), (225, 333), (640, 431)])
@pytest.mark.parametrize("kind, options", PROCESSORS, ids=str)
def test_image_processors_of_transformers(kind, options, width, height, tmp_path):
    """PIL's backend, which resizes as Pillow does: to rounding. torchvision's, the default, differs by one level."""
    import transformers
    hugging_face_vit(**{**TINY, "size": 224, "patch": 32}).save_pretrained(tmp_path)
    processor = getattr(transformers, kind + "Pil")(**options)
    processor.save_pretrained(tmp_path)
    about = json.loads((tmp_path / "preprocessor_config.json").read_text())
    about["image_processor_type"] = kind
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(about))
    picture = PHOTO.resize((width, height))
    theirs = np.asarray(processor(picture, return_tensors="np")["pixel_values"], np.float64)[0].transpose(1, 2, 0)
    ours = minivit.load(tmp_path).prepare(picture)[0]
    assert np.abs(ours - theirs).max() <= 1e-6 * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize("kind", ["ViT", "DeiT", "Beit", "CLIP", "Bit", "Siglip"])
def test_a_processors_file_that_only_names_its_class(kind, tmp_path):
    import transformers
    hugging_face_vit(**{**TINY, "size": 224, "patch": 32}).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": f"{kind}ImageProcessor"}))
    picture = PHOTO.resize((301, 200))
    theirs = getattr(transformers, f"{kind}ImageProcessorPil")()(picture, return_tensors="np")["pixel_values"]
    theirs = np.asarray(theirs, np.float64)[0].transpose(1, 2, 0)
    assert np.abs(minivit.load(tmp_path).prepare(picture)[0] - theirs).max() <= 1e-6 * np.abs(theirs).max()


@pytest.mark.parametrize("kind", ["DeiT", "CLIPVision"])
def test_images_of_a_module_without_a_processor(kind):
    """As the class's own processor makes them by its defaults, and DeiT's colours as its weights have them."""
    import transformers
    options = {**SMALL, "image_size": 224, "patch_size": 56}
    module = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**options))
    colours = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]} if kind == "DeiT" else {}
    processor = getattr(transformers, f"{kind.removesuffix('Vision')}ImageProcessorPil")(**colours)
    for picture in (PHOTO.resize((301, 200)), PHOTO.resize((225, 333))):
        theirs = np.asarray(processor(picture, return_tensors="np")["pixel_values"], np.float64)[0].transpose(1, 2, 0)
        assert np.abs(minivit.load(module).prepare(picture)[0] - theirs).max() <= 1e-6 * np.abs(theirs).max()


def test_a_masked_autoencoder_in_every_form():
    """Its own module with the decoder, that one's state dict, and transformers' module: one position, one recipe."""
    import old_modules
    import transformers
    module = old_modules.VisionTransformer()
    module.decoder_embed = torch.nn.Linear(24, 8)
    module.decoder_pos_embed = torch.nn.Parameter(torch.zeros(1, 10, 8), requires_grad=False)
    theirs = [transformers.ViTMAEModel(transformers.ViTMAEConfig(**SMALL))]
    theirs.append(transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(
        **SMALL, decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2)))
    models = [minivit.load(source, num_heads=heads) for source, heads in (
        (module, 3), (module.state_dict(), 3), *((one, 4) for one in theirs), (theirs[1].state_dict(), 4))]
    for model in models:
        assert model.config.position == "fixed" and model.preprocessing == models[0].preprocessing
        assert model.preprocessing.mean == (0.485, 0.456, 0.406)
        assert any("the masked autoencoder" in what for what in model.origin.assumed)


def test_a_module_of_torchvision_whose_size_is_not_its_tables():
    module = torchvision_vit(**TINY)
    module.image_size = 40
    with pytest.raises(minivit.CheckpointError, match="image_size 40, whose patches its 10 positions do not cover"):
        minivit.load(module)


# timm: pretrained_cfg

@pytest.mark.parametrize("about", [
    {}, {"crop_pct": 0.9}, {"crop_mode": "squash"}, {"crop_pct": 1.0, "crop_mode": "squash"},
    {"interpolation": "lanczos"}, {"interpolation": "bilinear", "crop_pct": 0.95},
    {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)},
    {"input_size": (3, 24, 40), "crop_pct": 0.8}], ids=str)
def test_pretrained_cfg_against_timms_transforms(about):
    from timm.data import create_transform, resolve_data_config
    size = about.get("input_size", (3, 24, 24))[1:]
    module = timm_vit(**{**TINY, "size": size})
    module.pretrained_cfg = {"architecture": "vit_tiny_patch16_224", "input_size": (3, *size), **about}
    transform = create_transform(**resolve_data_config(pretrained_cfg=module.pretrained_cfg), is_training=False)
    for picture in (PHOTO, PHOTO.resize((333, 225))):
        theirs = transform(picture).numpy().transpose(1, 2, 0)
        assert np.abs(minivit.load(module).prepare(picture)[0] - theirs).max() == 0


def test_recipes_against_torchvisions_weights():
    from torchvision.models import vision_transformer as v

    from minivit.checkpoints import torchvision
    from minivit.checkpoints.source import Source
    for name, weights in (("B/16", v.ViT_B_16_Weights), ("B/32", v.ViT_B_32_Weights), ("L/16", v.ViT_L_16_Weights),
                          ("L/32", v.ViT_L_32_Weights), ("H/14", v.ViT_H_14_Weights)):
        sizes = [one.transforms().crop_size[0] for one in weights]
        for one in weights:
            transform, source = one.transforms(), Source("a file", {}, None)
            size = transform.crop_size[0]
            config = minivit.variants.as_config(minivit.VARIANTS[name], image_size=size)
            ours = torchvision.preprocessing(source, config)
            alone = sizes.count(size) == 1
            assert bool(source.assumed) == (not alone)
            if alone or one.name == "IMAGENET1K_V1":
                assert int(size / ours.crop_fraction) == transform.resize_size[0]
                assert (ours.interpolation, ours.mean) == (transform.interpolation.value, tuple(transform.mean))
            else:
                assert one.name == "IMAGENET1K_SWAG_LINEAR_V1" and "SWAG_LINEAR_V1" in source.assumed[0]
