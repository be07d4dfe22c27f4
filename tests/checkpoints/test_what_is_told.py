"""What a source says is honoured or refused by name; what nothing tells is asked for, or assumed and told."""

import json
from dataclasses import replace

import checkpoint_files
import numpy as np
import pytest
from checkpoint_files import CONFIG, small_model
from peaked import images, peaked_model, relative_error

import minivit

HF = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
      "image_size": 12, "patch_size": 4}
TIMM = {"architecture": "vit_tiny_patch16_224", "num_classes": 3, "pretrained_cfg": {"input_size": [3, 12, 12]},
        "model_args": {"num_heads": 2}}


def folder(tmp_path, tensors, config=None, preprocessor=None):
    from safetensors.numpy import save_file
    save_file(tensors, tmp_path / "model.safetensors")
    for name, content in (("config.json", config), ("preprocessor_config.json", preprocessor)):
        if content is not None:
            (tmp_path / name).write_text(json.dumps(content))
    return tmp_path / "model.safetensors"


def timm_folder(tmp_path, tensors=None, **changes):
    config = {**TIMM, "pretrained_cfg": {**TIMM["pretrained_cfg"], **changes.pop("pretrained_cfg", {})}, **changes}
    return folder(tmp_path, tensors or checkpoint_files.timm(small_model()), config)


def with_fc_norm(tensors):
    return {name.replace("norm.", "fc_norm.") if name.startswith("norm.") else name: a for name, a in tensors.items()}


# Hugging Face: model_type, activation, eps, image size

@pytest.mark.parametrize("model_type, eps", [("vit", 1e-12), ("vit_msn", 1e-6), ("vit_mae", 1e-12)])
def test_the_relatives_of_vit_at_hugging_face(model_type, eps, tmp_path):
    model = small_model(layer_norm_eps=eps, num_heads=4)
    config = {**HF, "model_type": model_type, "num_attention_heads": 4}
    path = folder(tmp_path, checkpoint_files.hugging_face(model), config)
    loaded = minivit.load(path, dtype="float64")
    assert loaded.config == minivit.variants.as_config(model.config,
                                                       position="fixed" if model_type == "vit_mae" else "learned")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vision-encoder-decoder", "encoder": config}))
    assert minivit.load(path).config == loaded.config
    (tmp_path / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-3}))
    assert minivit.load(path).config.layer_norm_eps == 1e-3


@pytest.mark.parametrize("change, said", [
    ({"model_type": "yolos"}, "model_type 'yolos', expected one of vit"), ({"model_type": None}, "model_type 'None'"),
    ({"hidden_act": "silu"}, "hidden_act 'silu' is no GELU"), ({"hidden_act": 3}, "expected a text"),
    ({"image_size": 16}, "says image_size 16, whose patches its 10 positions do not cover"),
    ({"image_size": [12]}, "image_size is"), ({"image_size": -12}, "image_size is"),
    ({"image_size": True}, "image_size"),
    ({"layer_norm_eps": 0}, "a number from 1e-30 to 1e.30"), ({"layer_norm_eps": True}, "a number from 1e-30 to 1e.30"),
    ({"num_attention_heads": 2.0}, "a whole number"), ({"patch_size": 8}, "patch_size 8"),
    ({"num_attention_heads": True}, "num_attention_heads is True, expected a whole number"),
    ({"image_size": 10 ** 9}, "image_size is 1000000000, expected a whole number from 1 to 4,096"),
])
def test_configurations_of_hugging_face_that_are_refused(change, said, tmp_path):
    path = folder(tmp_path, checkpoint_files.hugging_face(small_model()), {**HF, **change})
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(path)


# Hugging Face: preprocessor_config.json

SIZE = {"height": 12, "width": 12}


@pytest.mark.parametrize("about, expected", [
    ({}, dict(resize="stretch", interpolation="bilinear")),
    ({"image_mean": 0.25, "image_std": 0.5}, dict(mean=(0.25,) * 3)),
    ({"do_normalize": False}, dict(mean=(0, 0, 0), std=(1, 1, 1))),
    ({"do_normalize": False, "do_rescale": False}, dict(mean=(0, 0, 0), std=(1 / 255,) * 3)),
    ({"do_rescale": False}, dict(mean=(0.5 / 255,) * 3, std=(0.5 / 255,) * 3)),
    ({"rescale_factor": 1 / 127.5}, dict(mean=(0.25,) * 3, std=(0.25,) * 3)),
    ({"do_resize": False}, dict(resize="none")), ({"resample": 4}, dict(interpolation="box")),
    ({"resample": 5}, dict(interpolation="hamming")), ({"resample": 0}, dict(interpolation="nearest")),
    ({"do_center_crop": True, "crop_size": 12, "size": 15}, dict(resize="stretch_crop", crop_offset="floor")),
    ({"do_center_crop": True, "crop_size": SIZE, "size": {"shortest_edge": 15}},
     dict(resize="crop", crop_offset="floor")),
    ({"image_processor_type": "DeiTImageProcessorFast", "size": 15, "crop_size": 12},
     dict(resize="stretch_crop", interpolation="bicubic", mean=(0.5,) * 3)),
    ({"feature_extractor_type": "CLIPFeatureExtractor", "size": 15, "crop_size": 12},
     dict(resize="crop", interpolation="bicubic", mean=(0.48145466, 0.4578275, 0.40821073))),
    ({"do_convert_rgb": True, "do_reduce_labels": True, "do_center_crop": None}, dict(resize="stretch")),
])
def test_every_step_of_a_preprocessor_is_honoured(about, expected, tmp_path):
    path = folder(tmp_path, checkpoint_files.hugging_face(small_model()), HF, {"size": SIZE, **about})
    found = minivit.load(path).preprocessing
    for name, value in expected.items():
        assert getattr(found, name) == (pytest.approx(value) if name in ("mean", "std") else value)
    if "15" in str(about):
        assert found.crop_fraction == 12 / 15


@pytest.mark.parametrize("about, said", [
    ({"do_pad": True}, "do_pad is True, a step that minivit does not have"),
    ({"do_flip_channel_order": True}, "do_flip_channel_order"),
    ({"do_center_crop": True}, "there is no crop_size"), ({"size": {"longest_edge": 12}}, "longest_edge"),
    ({"size": {"shortest_edge": 12}}, "crops nothing"),
    ({"size": {"height": 16, "width": 16}}, "makes images of 16 x 16"),
    ({"do_center_crop": True, "crop_size": 12, "size": 8}, "are cropped to 12"), ({"resample": 9}, "resample is '9'"),
    ({"do_resize": False, "do_center_crop": True, "crop_size": 12}, "without resizing"), ({"size": "12"}, "size is"),
    ({"image_processor_type": "ConvNextImageProcessor"}, "prepared by 'ConvNextImageProcessor'"),
    ({"do_normalize": "yes"}, "expected true or false"), ({"image_mean": [0.5, 0.5]}, "R, G, B"),
    ({"rescale_factor": -1}, "a number from 1e-30 to 1e.30"), ({"image_std": [0.5, 0, 0.5]}, "std of G is a number"),
    ({"size": {"shortest_edge": 10 ** 6}, "do_center_crop": True, "crop_size": 12},
     "shortest_edge is 1000000, expected a whole number from 1 to 4,096"),
    ({"image_mean": [0.5, 10 ** 400, 0.5]}, "a number for each of R, G, B"),
    ({"image_mean": [0.5, float("inf"), 0.5]}, "a number for each of R, G, B"),
])
def test_preprocessors_that_are_refused(about, said, tmp_path):
    path = folder(tmp_path, checkpoint_files.hugging_face(small_model()), HF, {"size": SIZE, **about})
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(path)
    assert minivit.load(path, preprocessing=minivit.Preprocessing()).preprocessing == minivit.Preprocessing()


# timm: model_args and pretrained_cfg

def test_model_args_of_timm(tmp_path):
    model = small_model(num_heads=4, gelu="tanh")
    path = timm_folder(tmp_path, checkpoint_files.timm(model),
                       model_args={"num_heads": 4, "act_layer": "gelu_tanh", "drop_rate": 0.5, "depth": 2})
    assert minivit.load(path, dtype="float64").config == model.config


@pytest.mark.parametrize("size", [(24, 8), (8, 24), (4, 48)])
def test_image_sizes_of_timm_whose_patches_are_as_many(size, tmp_path):
    tensors = checkpoint_files.timm(peaked_model(minivit.variants.as_config(CONFIG, image_size=size)))
    for place in ({"model_args": {"img_size": size, "num_heads": 2}}, {"pretrained_cfg": {"input_size": [3, *size]}}):
        assert minivit.load(timm_folder(tmp_path, tensors, **place)).config.height_width == size


def test_a_size_that_the_table_does_not_have_is_resampled_as_timm_does(tmp_path, capsys):
    model = minivit.load(timm_folder(tmp_path, pretrained_cfg={"input_size": [3, 20, 20]}))
    assert model.config.height_width == (20, 20) and model.origin.grid == (3, 3)
    assert "resampled, as timm does" in capsys.readouterr().err


@pytest.mark.parametrize("changes, said", [
    ({"model_args": {"act_layer": "relu"}}, "act_layer 'relu'"), ({"model_args": {"mlp_layer": "SwiGLU"}}, "mlp_layer"),
    ({"model_args": {"norm_layer": "rmsnorm"}}, "rmsnorm"), ({"global_pool": "max"}, "the largest value"),
    ({"architecture": "vit_base_patch16_rpn_224"}, "the norms after attention and MLP"),
    ({"architecture": "aimv2_large_patch14_224"}, "other norms"),
    ({"architecture": "vit_base_patch16_radio_v3"}, "other positions"),
    ({"architecture": "vit_dwee_patch16_reg1_gap_256"}, "differential attention"),
    ({"pretrained_cfg": {"global_pool": "avgmax"}}, "half the mean and half"),
    ({"global_pool": "map"}, "missing attn_pool.latent"),
    ({"model_args": {"global_pool": ""}}, "no pooling"), ({"model_args": {"global_pool": "prr"}}, "attention pooling"),
    ({"pretrained_cfg": {"input_size": [12, 12]}}, r"expected \[3, height, width\]"),
    ({"model_args": []}, "JSON object"),
    ({"pretrained_cfg": {"crop_mode": "border"}}, "pads the image"),
    ({"pretrained_cfg": {"crop_pct": 1.5}}, "crop_pct"),
    ({"pretrained_cfg": {"interpolation": "random"}}, "interpolation 'random'"),
    ({"label_names": [1, 2, 3]}, "label_names"),
    ({"model_args": {"some_new_thing": 1}}, "some_new_thing"), ({"model_args": {"num_heads": 3}}, "num_heads"),
])
def test_configurations_of_timm_that_are_refused(changes, said, tmp_path):
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(timm_folder(tmp_path, **changes))


def test_the_read_out_that_timm_tells(tmp_path):
    """[CLS] under fc_norm is [CLS] under norm: a norm of one token. Including [CLS] in the mean is another read-out."""
    cls, mean = small_model(), small_model(pool="mean")
    tensors = with_fc_norm(checkpoint_files.timm(cls))
    loaded = minivit.load(timm_folder(tmp_path, tensors, global_pool="token"), dtype="float64")
    assert relative_error(loaded(images(CONFIG)), cls(images(CONFIG))) <= 1e-12
    loaded = minivit.load(timm_folder(tmp_path, tensors, global_pool="avg"), dtype="float64")
    mean = mean.with_params({**cls.params, "fc_norm": cls.params["norm"]} | {})
    del mean.params["norm"]
    assert relative_error(loaded(images(CONFIG)), mean(images(CONFIG))) <= 1e-12
    args = {"global_pool": "avg", "pool_include_prefix": True, "num_heads": 2}
    loaded = minivit.load(timm_folder(tmp_path, tensors, model_args=args), dtype="float64")
    everything = replace(mean.config, pool_prefix=True)
    expected = minivit.VisionTransformer(everything, mean.params)(images(CONFIG))
    assert loaded.config == everything and relative_error(loaded(images(CONFIG)), expected) <= 1e-12
    plain = checkpoint_files.timm(cls)
    loaded = minivit.load(timm_folder(tmp_path, plain, global_pool="avg"), dtype="float64")
    normed = minivit.VisionTransformer(replace(cls.config, pool="normed_mean"), cls.params)
    assert loaded.config == normed.config
    assert relative_error(loaded(images(CONFIG)), normed(images(CONFIG))) <= 1e-12


def test_attention_pooling_before_the_final_norm_is_refused(tmp_path):
    model = small_model(pool="map", class_token=False)
    tensors = with_fc_norm({name: a.astype(np.float32) for name, a in minivit.state_dict(model).items()})
    with pytest.raises(minivit.CheckpointError, match="has its final norm after attention pooling"):
        minivit.load(timm_folder(tmp_path, tensors, global_pool="map"))
    with pytest.raises(minivit.CheckpointError, match="its final norm, fc_norm, comes after the read-out"):
        minivit.load(tensors, num_heads=2)


@pytest.mark.parametrize("architecture, args, expected", [
    ("vit_base_patch16_clip_quickgelu_224", {}, {"gelu": "quick", "layer_norm_eps": 1e-5}),
    ("vit_base_patch16_clip_224", {}, {"gelu": "erf", "layer_norm_eps": 1e-5}),
    ("vit_base_patch16_224", {"act_layer": "quick_gelu"}, {"gelu": "quick", "layer_norm_eps": 1e-6}),
    ("vit_so400m_patch16_siglip_256", {}, {"gelu": "tanh", "layer_norm_eps": 1e-6}),
    ("beit3_base_patch16_224", {}, {"gelu": "erf", "layer_norm_eps": 1e-5}),
])
def test_what_an_architecture_of_timm_means(architecture, args, expected, tmp_path):
    config = minivit.load(timm_folder(tmp_path, architecture=architecture,
                                      model_args={"num_heads": 2, **args})).config
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize("architecture, heads", [("vit_tiny_patch16_224", 3), ("vit_giant_patch14_dinov2", 24),
                                                 ("vit_giant_patch14_clip_224", 16),
                                                 ("vit_so400m_patch14_siglip_224", 16),
                                                 ("deit3_medium_patch16_224", 8)])
def test_heads_of_an_architecture_of_timm(architecture, heads, tmp_path):
    tensors = checkpoint_files.timm(small_model(width=96, num_heads=heads))
    if architecture.startswith("deit3"):
        tensors["pos_embed"] = tensors["pos_embed"][:, 1:]              # [CLS] has no position there
    found = minivit.load(timm_folder(tmp_path, tensors, architecture=architecture, model_args={}))
    assert found.config.num_heads == heads


@pytest.mark.parametrize("about, expected", [
    ({}, dict(crop_fraction=0.875, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="bicubic")),
    ({"crop_pct": 0.9, "crop_mode": "squash"}, dict(resize="stretch_crop", crop_fraction=0.9)),
    ({"crop_pct": 1.0, "crop_mode": "squash"}, dict(resize="stretch")),
    ({"crop_pct": 1, "interpolation": "hamming", "mean": [0, 0, 0]}, dict(interpolation="hamming", mean=(0, 0, 0))),
])
def test_pretrained_cfg_has_timms_defaults(about, expected, tmp_path):
    found = minivit.load(timm_folder(tmp_path, pretrained_cfg=about)).preprocessing
    assert {name: getattr(found, name) for name in expected} == expected


# Conventions: told, or asked for

def test_heads_from_the_table_are_told_and_asked_for_where_depth_or_mlp_width_match_no_variant(capsys):
    config = minivit.ViTConfig(patch_size=8, width=192, num_layers=12, mlp_width=768, num_heads=3, num_classes=0,
                               image_size=16)
    tensors = minivit.state_dict(minivit.init(config))
    model = minivit.load(tensors)
    assert model.config.num_heads == 3 and any("num_heads=3" in what for what in model.origin.assumed)
    assert "does not tell, and so is assumed: num_heads=3" in capsys.readouterr().err
    assert not any("num_heads" in what for what in minivit.load(tensors, num_heads=12).origin.assumed)
    shallow = {name: array for name, array in tensors.items() if "blocks.11." not in name}
    narrow = {name: array[:600] if "fc1" in name else array[:, :600] if "fc2.weight" in name else array
              for name, array in tensors.items()}
    for odd in (shallow, narrow):
        with pytest.raises(minivit.CheckpointError, match=r"give num_heads=… \(on the command line --num-heads"):
            minivit.load(odd)


@pytest.mark.parametrize("size, rows", [((56, 64), 14 * 16), ((48, 56), 12 * 14), ((64, 16), 64), ((16, 8), 8),
                                        ((12, 12), 9)])
@pytest.mark.parametrize("form", ["timm", "google", "hugging_face", "torchvision"])
def test_a_grid_that_fits_the_table_exactly_is_the_trained_one(form, size, rows):
    """14 x 16 patches and [CLS] are 225 positions, 15 x 15: a square is assumed only beside a position for [CLS]."""
    model = peaked_model(minivit.variants.as_config(CONFIG, image_size=size)).astype("float32").astype("float64")
    tensors = getattr(checkpoint_files, form)(model)
    options = {"num_heads": 2, "dtype": "float64", "layer_norm_eps": 1e-6, "gelu": "erf"}
    loaded = minivit.load(tensors, image_size=size, **options)
    assert loaded.config.height_width == size
    assert relative_error(loaded(images(loaded.config)), model(images(model.config))) <= 1e-12
    side = int(rows ** 0.5)
    if side * side == rows:
        assert minivit.load(tensors, **options).config.height_width == (4 * side, 4 * side)
    else:
        with pytest.raises(minivit.CheckpointError, match="give image_size="):
            minivit.load(tensors, **options)
        with pytest.raises(minivit.CheckpointError, match="does not fit them either"):
            minivit.load(tensors, image_size=(400, 400), **options)


def test_a_table_without_a_position_for_cls():
    """timm's no_embed_class: 9 positions and a [CLS] are a square without it, or 2 x 4 with it: asked for."""
    tensors = checkpoint_files.timm(small_model())
    tensors["pos_embed"] = tensors["pos_embed"][:, 1:]
    with pytest.raises(minivit.CheckpointError, match=r"a square grid without \[CLS\], or another grid with it: give"):
        minivit.load(tensors, num_heads=2)
    loaded = minivit.load(tensors, num_heads=2, image_size=12)
    assert loaded.config.grid == (3, 3) and not loaded.config.prefix_positions
    assert loaded.params["pos_embed"].shape == (1, 9, 8)
    model = small_model()
    model.params["pos_embed"][:, 0] = 0
    loaded = minivit.load(tensors, num_heads=2, image_size=12, dtype="float64")
    assert relative_error(loaded(images(CONFIG)), model(images(CONFIG))) <= 1e-12
    assert minivit.load(tensors, num_heads=2, image_size=(8, 16)).params["pos_embed"].shape == (1, 9, 8)


def test_read_outs_that_tensors_tell(capsys):
    tensors = checkpoint_files.timm(small_model())
    pooled = with_fc_norm(tensors)
    assert minivit.load(pooled, num_heads=2).config.pool == "mean"
    assert 'pool="mean", as the norm called fc_norm suggests' in capsys.readouterr().err
    assert minivit.load(pooled, num_heads=2, pool="cls").config.pool == "cls"
    with pytest.raises(minivit.CheckpointError, match='give pool="normed_mean"'):
        minivit.load(tensors, num_heads=2, pool="mean")
    assert minivit.load(tensors, num_heads=2, pool="normed_mean").config.pool == "normed_mean"
    del tensors["cls_token"]
    tensors["pos_embed"] = tensors["pos_embed"][:, 1:]
    capsys.readouterr()
    loaded = minivit.load(tensors, num_heads=2)
    assert (loaded.config.pool, loaded.config.prefix_positions) == ("normed_mean", True)
    assert 'pool="normed_mean", as a model without [CLS]' in capsys.readouterr().err


def test_files_of_google_without_positions():
    tensors = {name: a for name, a in checkpoint_files.google(small_model()).items() if "pos_embedding" not in name}
    for options in ({}, {"image_size": 12}):
        with pytest.raises(minivit.CheckpointError, match="sin-cos"):
            minivit.load(tensors, **options)


@pytest.mark.parametrize("name, size, covered, interpolation, told", [
    ("B/16", 224, 256, "bilinear", True), ("B/32", 224, 256, "bilinear", False), ("L/16", 224, 242, "bilinear", True),
    ("L/32", 224, 256, "bilinear", False), ("H/14", 224, 224, "bicubic", False), ("B/16", 384, 384, "bicubic", False),
    ("L/16", 512, 512, "bicubic", False), ("H/14", 518, 518, "bicubic", False), ("B/16", 256, 256, "bicubic", True)])
def test_the_recipe_of_each_variant_of_torchvision(name, size, covered, interpolation, told):
    """As the weights' transforms in torchvision.models.vision_transformer say; told where the file leaves it open."""
    from minivit.checkpoints import torchvision
    from minivit.checkpoints.source import Source
    source = Source("a file", {}, None)
    config = minivit.variants.as_config(minivit.VARIANTS[name], image_size=size)
    found = torchvision.preprocessing(source, config)
    assert (int(size / found.crop_fraction), found.interpolation) == (covered, interpolation)
    assert bool(source.assumed) == told


# What a source says of parts that its tensors do not have, and of a size that its table does not have

def test_a_native_file_whose_size_is_not_its_tables_is_refused(tmp_path):
    from safetensors.numpy import save_file
    about = json.loads(checkpoint_files.native_metadata(small_model())["minivit"])
    about["config"]["image_size"] = 20
    save_file(checkpoint_files.timm(small_model()), tmp_path / "model.safetensors", {"minivit": json.dumps(about)})
    with pytest.raises(minivit.CheckpointError, match="image_size 20, whose patches its 10 positions do not cover"):
        minivit.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("said", [True, None, False])
@pytest.mark.parametrize("there", [True, False])
def test_the_bias_of_the_patches_is_there_unless_a_native_file_says_that_it_is_not(said, there, tmp_path):
    """said None: files of the first versions do not say it, and have one."""
    tensors = checkpoint_files.timm(small_model())
    about = json.loads(checkpoint_files.native_metadata(small_model())["minivit"])
    about["config"] = {**about["config"], "patch_bias": said}
    if said is None:
        del about["config"]["patch_bias"]
    if not there:
        del tensors["patch_embed.proj.bias"]
    path = checkpoint_files.write("native", tensors, tmp_path, {"minivit": json.dumps(about)})
    if there == (said is not False):
        assert minivit.load(path).config.patch_bias == there
    else:
        with pytest.raises(minivit.CheckpointError, match=f"{'unexpected' if there else 'missing'} patch_embed.proj.b"):
            minivit.load(path)


def without_qkv_bias(tensors):
    """Without the biases of q, k and v under any format's names."""
    return {name: a for name, a in tensors.items() if not name.endswith(
        ("qkv.bias", "in_proj_bias", "query.bias", "key.bias", "value.bias", "query/bias", "key/bias", "value/bias"))}


@pytest.mark.parametrize("form", ["timm", "hugging_face", "torchvision", "google"])
def test_biases_of_q_k_v_that_are_lost_are_missed(form, tmp_path):
    tensors = without_qkv_bias(getattr(checkpoint_files, form)(small_model()))
    assert len(tensors) < len(getattr(checkpoint_files, form)(small_model()))
    with pytest.raises(minivit.CheckpointError, match=r"no bias of q, k and v.*with qkv_bias false") as caught:
        minivit.load(tensors, num_heads=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form, config, none", [
    ("hugging_face", HF, {"qkv_bias": False}), ("timm", TIMM, {"model_args": {"num_heads": 2, "qkv_bias": False}}),
    ("timm", TIMM, {"architecture": "vit_medium_patch16_gap_256"})])
def test_biases_of_q_k_v_are_there_unless_the_config_says_that_they_are_not(form, config, none, tmp_path):
    whole = getattr(checkpoint_files, form)(small_model())
    path = folder(tmp_path, without_qkv_bias(whole), config)
    with pytest.raises(minivit.CheckpointError, match="says qkv_bias True, its tensors False"):
        minivit.load(path)
    path = folder(tmp_path, without_qkv_bias(whole), config | none)
    assert not minivit.load(path).config.qkv_bias
    with pytest.raises(minivit.CheckpointError, match="says qkv_bias False, its tensors True"):
        minivit.load(folder(tmp_path, whole, config | none))


@pytest.mark.parametrize("changes, said", [
    ({"model_args": {"num_heads": 2, "reg_tokens": 4}}, "says registers 4, its tensors 0"),
    ({"architecture": "vit_small_patch14_reg4_dinov2"}, "says registers 4, its tensors 0"),
    ({"model_args": {"num_heads": 2, "init_values": 1e-5}}, "says layer_scale True, its tensors False"),
    ({"model_args": {"num_heads": 2, "pre_norm": True}}, "says norm_pre True, its tensors False"),
    ({"model_args": {"num_heads": 2, "class_token": False}}, "says class_token False, its tensors True"),
])
def test_parts_that_timm_tells_and_the_tensors_lack(changes, said, tmp_path):
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(timm_folder(tmp_path, **changes))


def test_registers_that_timm_tells_are_loaded(tmp_path):
    tensors = {name: a.astype(np.float32) for name, a in minivit.state_dict(
        small_model(registers=4, prefix_positions=False, layer_scale=True)).items()}
    args = {"num_heads": 2, "reg_tokens": 4, "init_values": 1e-5, "no_embed_class": True}
    for changes in ({"model_args": args}, {"architecture": "vit_base_patch14_reg4_dinov2", "model_args": {
            "num_heads": 2, "no_embed_class": True}}):
        assert minivit.load(timm_folder(tmp_path, tensors, **changes)).config.registers == 4
    with pytest.raises(minivit.CheckpointError, match="says registers 0, its tensors 4"):
        minivit.load(timm_folder(tmp_path, tensors, model_args={**args, "reg_tokens": 0}))


def test_names_of_no_format_are_refused_with_all_of_them():
    with pytest.raises(minivit.CheckpointError, match="timm, Hugging Face, torchvision, DINOv2 or OpenAI's CLIP"):
        minivit.load({"conv.weight": np.ones((2, 2), np.float32)})
