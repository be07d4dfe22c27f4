"""The relatives' weights under their authors' own names, DINOv2's, CLIP's, big_vision's, MAE's, and Hugging Face's.

Each file is written by hand from the libraries' documentation; none of minivit.checkpoints' tables is used.
"""

import json

import numpy as np
import pytest
from checkpoint_files import CONFIG, google, small_model
from peaked import images, relative_error
from PIL import Image
from safetensors.numpy import save_file

import minivit

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
X = images(CONFIG)


def timm_names(model):
    return {name: np.ascontiguousarray(a.astype(np.float32)) for name, a in minivit.state_dict(model).items()}


def renamed(tensors, *pairs):
    for old, new in pairs:
        tensors = {name.replace(old, new): a for name, a in tensors.items()}
    return tensors


def same_weights(loaded, model):
    assert loaded.config == model.config
    for name, array in minivit.state_dict(model).items():
        assert np.array_equal(minivit.state_dict(loaded)[name], array), name
    assert relative_error(loaded(X), model(X)) <= 1e-12


def assumed(model):
    return "; ".join(model.origin.assumed)


# DINOv2's own files

DINOV2 = {"layer_scale": True, "num_classes": 0}


@pytest.mark.parametrize("changes", [{}, {"registers": 4}, {"gated_mlp": True}, {"gated_mlp": True, "registers": 2}])
@pytest.mark.parametrize("groups", [0, 1, 2])
def test_dinov2s_own_names(changes, groups, capsys):
    model = small_model(**DINOV2 | changes)
    tensors = renamed(timm_names(model), ("reg_token", "register_tokens"))
    if model.config.gated_mlp:
        tensors = renamed(tensors, ("mlp.fc1", "mlp.w12"), ("mlp.fc2", "mlp.w3"))
    if groups:                          # block_chunks: blocks.CHUNK.LAYER, the layer's number over all
        tensors = renamed(tensors, ("blocks.0.", "blocks.0.0."), ("blocks.1.", f"blocks.{groups - 1}.1."))
    loaded = minivit.load(tensors | {"mask_token": np.zeros((1, 8), np.float32)}, num_heads=2, dtype="float64")
    same_weights(loaded, model)
    assert loaded.origin.form == "DINOv2" and list(loaded.origin.ignored) == ["mask_token"]
    assert loaded.origin.resample == ("timm" if model.config.registers else "dino")
    recipe = loaded.preprocessing
    assert (recipe.mean, recipe.std) == IMAGENET and recipe.crop_fraction == 224 / 256
    err = capsys.readouterr().err
    assert "layer_norm_eps=1e-6 as in DINOv2" in err and "preprocessing as DINOv2 has it" in err
    assert err.count("does not tell, and so is assumed") == 1
    assert ("SwiGLU with the gate first" in err) == model.config.gated_mlp


def test_dinov2_inside_a_training_checkpoint():
    model = small_model(**DINOV2)
    tensors = {f"teacher.backbone.{name}": a for name, a in timm_names(model).items()}
    heads = {"teacher.dino_head.last_layer.weight_g": np.ones((3, 1), np.float32)}
    loaded = minivit.load(tensors | heads, num_heads=2, prefix="teacher.backbone.", dtype="float64")
    same_weights(loaded, model)


def test_twelve_layers_in_chunks_keep_their_order():
    """Layer 10 comes after layer 9, whatever chunk they are in."""
    model = small_model(**DINOV2, num_layers=12)
    tensors = {}
    for name, array in timm_names(model).items():
        head, _, rest = name.partition("blocks.")
        layer = rest.partition(".")[0]
        tensors[f"blocks.{int(layer) // 3}.{rest}" if rest and not head else name] = array
    same_weights(minivit.load(tensors, num_heads=2, dtype="float64"), model)


# OpenAI's CLIP

CLIP = {"norm_pre": True, "patch_bias": False, "gelu": "quick", "layer_norm_eps": 1e-5}


def openai(model):
    """The tensors as OpenAI's CLIP has them: [CLS] (D,), positions (T, D), a projection (D, K) without bias."""
    tensors = renamed(timm_names(model), ("cls_token", "class_embedding"), ("pos_embed", "positional_embedding"),
                      ("patch_embed.proj", "conv1"), ("norm_pre", "ln_pre"), ("blocks.", "transformer.resblocks."),
                      ("norm1", "ln_1"), ("norm2", "ln_2"), ("attn.qkv.", "attn.in_proj_"),
                      ("attn.proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
                      ("norm.", "ln_post."))
    tensors["class_embedding"] = tensors["class_embedding"][0, 0]
    tensors["positional_embedding"] = tensors["positional_embedding"][0]
    if "head.weight" in tensors:
        tensors["proj"] = np.ascontiguousarray(tensors.pop("head.weight").T)
        del tensors["head.bias"]
    return tensors


TEXT = {"positional_embedding": (77, 8), "text_projection": (8, 3), "logit_scale": (),
        "token_embedding.weight": (20, 8), "transformer.resblocks.0.ln_1.weight": (8,), "ln_final.weight": (8,)}


@pytest.mark.parametrize("prefix", ["", "visual.", "module.visual."])
@pytest.mark.parametrize("classes", [0, 3])
def test_openais_names(prefix, classes, capsys):
    model = small_model(**CLIP, num_classes=classes)
    if classes:
        model.params["head"]["bias"][...] = 0
    tensors = {prefix + name: a for name, a in openai(model).items()}
    if prefix:                          # the whole of CLIP: the text side has names that the tower has too
        tensors |= {prefix.replace("visual.", "") + name: np.ones(shape, np.float32) for name, shape in TEXT.items()}
    loaded = minivit.load(tensors, num_heads=2, dtype="float64")
    same_weights(loaded, model)
    err = capsys.readouterr().err
    assert 'gelu="quick", as OpenAI\'s weights have it' in err and "layer_norm_eps=1e-5 as in CLIP" in err
    assert ("a bias of 0, as a projection has none" in err) == bool(classes)
    assert set(loaded.origin.ignored.values()) == ({"the text side of a pair of towers"} if prefix else set())
    assert (loaded.preprocessing.mean, loaded.preprocessing.std) == OPENAI
    assert loaded.preprocessing.resize == "crop" and loaded.preprocessing.crop_fraction == 1.0
    other = minivit.load(tensors, num_heads=2, gelu="erf", layer_norm_eps=1e-6)
    assert (other.config.gelu, other.config.layer_norm_eps) == ("erf", 1e-6)


def test_clips_of_other_networks_are_refused():
    residual = {"visual.conv1.weight": np.ones((4, 3, 3, 3), np.float32), "visual.bn1.weight": np.ones(4, np.float32),
                "visual.attnpool.positional_embedding": np.ones((5, 4), np.float32)}
    with pytest.raises(minivit.CheckpointError, match=r"visual\.conv1\.weight is the first tensor without a place"):
        minivit.load(residual)
    coca = openai(small_model(**CLIP)) | {"attn_pool.query": np.ones((4, 8), np.float32)}
    with pytest.raises(minivit.CheckpointError, match=r"attn_pool\.query has no place"):
        minivit.load(coca, num_heads=2)


def test_layer_scale_of_open_clip():
    model = small_model(**CLIP, layer_scale=True, num_classes=0)
    tensors = renamed(openai(model), (".ls1.", ".ls_1."), (".ls2.", ".ls_2."))
    same_weights(minivit.load(tensors, num_heads=2, dtype="float64"), model)


# big_vision: attention pooling, or a mean after the norm

def big_vision(model):
    """Google's names in big_vision's spelling: MAPHead_0 beside the layers, positions for the patches alone."""
    config, params = model.config, model.params
    plain = dict(params)
    if "attn_pool" in params or not config.class_token:
        plain["cls_token"] = np.zeros((1, 1, config.width))
    tensors = google(minivit.VisionTransformer(
        minivit.ViTConfig(config.patch_size, config.width, config.num_layers, config.mlp_width, config.num_heads,
                          config.num_classes, config.image_size),
        {"cls_token": plain["cls_token"], "pos_embed": np.zeros((1, config.num_patches + 1, config.width)),
         "patch_embed": params["patch_embed"], "blocks": params["blocks"], "norm": params["norm"],
         "head": params["head"]}))
    for original, linen in (("Attention_1", "Attention_0"), ("LayerNorm_2", "LayerNorm_1"),
                            ("MlpBlock_3", "MlpBlock_0")):
        tensors = {name.replace(original, linen): a for name, a in tensors.items()}
    del tensors["Transformer/posembed_input/pos_embedding"], tensors["cls"]
    tensors["pos_embedding"] = params["pos_embed"].astype(np.float32)
    if "attn_pool" in params:
        D, H = config.width, config.num_heads
        pool, at = params["attn_pool"], "MAPHead_0/MultiHeadDotProductAttention_0"
        kv = [part.reshape(*part.shape[:-1], H, D // H) for key in ("weight", "bias")
              for part in np.split(pool["kv"][key], 2, axis=-1)]
        tensors |= {name: a.astype(np.float32) for name, a in {
            "MAPHead_0/probe": pool["latent"],
            f"{at}/query/kernel": pool["q"]["weight"].reshape(D, H, D // H),
            f"{at}/query/bias": pool["q"]["bias"].reshape(H, D // H),
            f"{at}/key/kernel": kv[0], f"{at}/value/kernel": kv[1], f"{at}/key/bias": kv[2], f"{at}/value/bias": kv[3],
            f"{at}/out/kernel": pool["proj"]["weight"].reshape(H, D // H, D), f"{at}/out/bias": pool["proj"]["bias"],
            "MAPHead_0/LayerNorm_0/scale": pool["norm"]["weight"], "MAPHead_0/LayerNorm_0/bias": pool["norm"]["bias"],
            "MAPHead_0/MlpBlock_0/Dense_0/kernel": pool["mlp"]["fc1"]["weight"],
            "MAPHead_0/MlpBlock_0/Dense_0/bias": pool["mlp"]["fc1"]["bias"],
            "MAPHead_0/MlpBlock_0/Dense_1/kernel": pool["mlp"]["fc2"]["weight"],
            "MAPHead_0/MlpBlock_0/Dense_1/bias": pool["mlp"]["fc2"]["bias"]}.items()}
    return tensors


@pytest.mark.parametrize("pool", ["map", "normed_mean"])
@pytest.mark.parametrize("prefix", ["", "params/", "params/img/"])
def test_big_vision(tmp_path, pool, prefix, capsys):
    model = small_model(class_token=False, pool=pool, gelu="tanh")
    tensors = {prefix + name: a for name, a in big_vision(model).items()}
    text = {"params/txt/head/kernel": np.ones((2, 2), np.float32), "params/t": np.ones(1, np.float32),
            "params/b": np.ones(1, np.float32)} if "img" in prefix else {}
    np.savez(tmp_path / "weights.npz", **tensors, **text)
    loaded = minivit.load(tmp_path / "weights.npz", dtype="float64")
    same_weights(loaded, model)
    assert set(loaded.origin.ignored) == set(text)
    err = capsys.readouterr().err
    assert ('pool="normed_mean"' in err) == (pool == "normed_mean")
    recipe = loaded.preprocessing
    assert (recipe.mean, recipe.std, recipe.resize) == ((0.5,) * 3, (0.5,) * 3, "stretch")


# Masked autoencoders

def test_maes_own_file(capsys):
    """Pre-training's: the decoder beside the encoder is left out and told, and the positions are fixed."""
    model = small_model(position="fixed", num_classes=0)
    decoder = {"mask_token": (1, 1, 4), "decoder_embed.weight": (4, 8), "decoder_pos_embed": (1, 10, 4),
               "decoder_blocks.0.norm1.weight": (4,), "decoder_norm.weight": (4,), "decoder_pred.weight": (48, 4)}
    tensors = timm_names(model) | {name: np.ones(shape, np.float32) for name, shape in decoder.items()}
    loaded = minivit.load({"model": tensors}, num_heads=2, dtype="float64")
    same_weights(loaded, model)
    assert set(decoder) <= set(loaded.origin.ignored)
    assert (loaded.preprocessing.mean, loaded.preprocessing.std) == IMAGENET
    err = capsys.readouterr().err
    assert 'position="fixed", as beside a decoder' in err and "decoder_pos_embed" in err
    assert minivit.load(timm_names(model), num_heads=2).config.position == "learned"


# timm's bare files

@pytest.mark.parametrize("changes, said", [
    ({"dist_token": True, "pool": "distilled"}, "DeiT"), ({"layer_scale": True}, "DINOv2"),
    ({**CLIP, "gelu": "erf"}, "CLIP"), ({"pool": "map", "class_token": False}, "SigLIP"), ({}, "most of timm's")])
def test_what_is_assumed_of_timms_tensors_alone(changes, said, capsys):
    model = small_model(**changes)
    loaded = minivit.load(timm_names(model), num_heads=2, dtype="float64")
    same_weights(loaded, model)
    assert f"preprocessing as {said}" in capsys.readouterr().err
    expected = {"CLIP": OPENAI, "DeiT": IMAGENET, "DINOv2": IMAGENET}.get(said, ((0.5,) * 3, (0.5,) * 3))
    assert (loaded.preprocessing.mean, loaded.preprocessing.std) == expected


def test_a_distilled_model_without_heads_is_the_mean_of_its_tokens_in_timm(capsys):
    model = small_model(dist_token=True, pool="distilled", num_classes=0)
    same_weights(minivit.load(timm_names(model), num_heads=2, dtype="float64"), model)
    assert 'pool="distilled", the mean of both tokens' in capsys.readouterr().err


@pytest.mark.parametrize("architecture", ["deit_tiny_distilled_patch16_224", "deit_base_distilled_patch16_384"])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("said", [{"global_pool": "token"}, {}])
def test_a_distilled_folder_of_timm_is_read_by_both_tokens_with_heads_or_without(tmp_path, architecture, classes, said):
    """timm's config.json says global_pool "token" of it, as of every DeiT, or nothing."""
    model = small_model(dist_token=True, pool="distilled", num_classes=classes)
    save_file(timm_names(model), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(
        {"architecture": architecture, "num_classes": classes, "model_args": {"num_heads": 2},
         "pretrained_cfg": {"input_size": [3, 12, 12]}} | said))
    same_weights(minivit.load(tmp_path, dtype="float64"), model)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("source", ["tensors", "folder"])
def test_a_distilled_model_whose_final_norm_timm_never_applies_is_refused(tmp_path, source, classes):
    model = small_model(dist_token=True, pool="distilled", num_classes=classes)
    tensors = {name.replace("norm.", "fc_norm.") if name.startswith("norm.") else name: a
               for name, a in timm_names(model).items()}
    save_file(tensors, tmp_path / "model.safetensors")
    if source == "folder":
        (tmp_path / "config.json").write_text(json.dumps(
            {"architecture": "deit_tiny_distilled_patch16_224", "num_classes": classes, "global_pool": "token",
             "model_args": {"num_heads": 2}, "pretrained_cfg": {"input_size": [3, 12, 12]}}))
    with pytest.raises(minivit.CheckpointError, match="fc_norm"):
        minivit.load(tmp_path / "model.safetensors", num_heads=2)


READ_OUT = 'pool="cls", as most models with these tensors have'


@pytest.mark.parametrize("changes", [{"layer_scale": True}, {"registers": 4}, {"norm_pre": True}])
def test_that_cls_is_a_relatives_read_out_is_assumed(changes, capsys):
    """timm makes the mean over the normed patches of the same tensors; a plain ViT's [CLS] is not told."""
    tensors = timm_names(small_model(**changes))
    assert minivit.load(tensors, num_heads=2).config.pool == "cls" and READ_OUT in capsys.readouterr().err
    for pool in ("cls", "normed_mean"):
        assert minivit.load(tensors, num_heads=2, pool=pool).config.pool == pool
        assert 'pool="' not in capsys.readouterr().err
    minivit.load(timm_names(small_model()), num_heads=2)
    assert 'pool="' not in capsys.readouterr().err


@pytest.mark.parametrize("changes, told", [({}, True), ({"registers": 2}, True), ({"class_token": False}, False),
                                           ({"class_token": False, "registers": 2}, True)])
def test_that_pooling_leaves_out_the_tokens_before_the_patches_is_assumed(changes, told, capsys):
    model = small_model(pool="map", **changes)
    same_weights(minivit.load(timm_names(model), num_heads=2, dtype="float64"), model)
    assert ("the attention pooling leaves out the tokens before the patches" in capsys.readouterr().err) == told


@pytest.mark.parametrize("registers, prefix_positions", [(4, False), (0, False)])
def test_positions_of_patches_alone(registers, prefix_positions):
    model = small_model(registers=registers, prefix_positions=prefix_positions)
    loaded = minivit.load(timm_names(model), num_heads=2, image_size=12, dtype="float64")
    same_weights(loaded, model)


# Hugging Face: DINOv2's images are of another size than its positions

HF_DINOV2 = {"model_type": "dinov2", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
             "mlp_ratio": 1.5, "image_size": 28, "patch_size": 4}
PROCESSOR = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 14},
             "crop_size": {"height": 12, "width": 12}, "image_mean": list(IMAGENET[0]), "image_std": list(IMAGENET[1])}


def hugging_face_dinov2(model):
    tensors = renamed(timm_names(model), ("cls_token", "embeddings.cls_token"),
                      ("reg_token", "embeddings.register_tokens"), ("pos_embed", "embeddings.position_embeddings"),
                      ("patch_embed.proj", "embeddings.patch_embeddings.projection"), ("blocks.", "encoder.layer."),
                      ("attn.proj", "attention.output.dense"), ("ls1.gamma", "layer_scale1.lambda1"),
                      ("ls2.gamma", "layer_scale2.lambda1"))
    made = {}
    for name, array in tensors.items():
        if "attn.qkv" in name:
            for part, third in zip(("query", "key", "value"), np.split(array, 3)):
                made[name.replace("attn.qkv", f"attention.attention.{part}")] = third
        elif name.startswith("norm."):
            made["layernorm." + name.removeprefix("norm.")] = array
        else:
            made[name] = array
    return made


@pytest.mark.parametrize("registers, way", [(0, "hugging_face"), (4, "timm")])
def test_dinov2s_images_are_those_that_its_processor_makes(tmp_path, registers, way, capsys):
    model = small_model(layer_scale=True, num_classes=0, registers=registers, image_size=28)
    save_file(hugging_face_dinov2(model), tmp_path / "model.safetensors")
    kind = "dinov2_with_registers" if registers else "dinov2"
    for name, content in (("config.json", {**HF_DINOV2, "model_type": kind}), ("preprocessor_config.json", PROCESSOR)):
        (tmp_path / name).write_text(json.dumps(content))
    loaded = minivit.load(tmp_path, dtype="float64")
    assert loaded.config == minivit.variants.as_config(model.config, image_size=12)
    assert loaded.origin.grid == (7, 7) and loaded.origin.resample == way
    expected = minivit.checkpoints.position_resampling.resample(model.params["pos_embed"], (7, 7), (3, 3), way)
    np.testing.assert_allclose(loaded.params["pos_embed"], expected, atol=1e-7)
    assert "image_size=12, as its JSON says: the table of another size is resampled, as Hugging Face does" in \
        capsys.readouterr().err
    assert loaded.preprocessing.crop_fraction == 12 / 14 and loaded.preprocessing.mean == IMAGENET[0]
    trained = minivit.load(tmp_path, dtype="float64", image_size=28)
    assert np.array_equal(trained.params["pos_embed"], model.params["pos_embed"])
    (tmp_path / "preprocessor_config.json").unlink()
    same = minivit.load(tmp_path, dtype="float64")
    assert same.config == model.config and "preprocessing as DINOv2 has it" in capsys.readouterr().err


@pytest.mark.parametrize("kind, lost, said", [
    ("dinov2_with_registers", ("register_tokens",), "says registers 4, its tensors 0"),
    ("dinov2_with_registers", ("lambda1",), "says layer_scale True, its tensors False"),
    ("dinov2", (), "says registers 0, its tensors 4"), ("vit", ("register_tokens",), "says layer_scale False"),
    ("dinov2_with_registers", ("query.bias", "key.bias", "value.bias"), "says qkv_bias True, its tensors False")])
def test_parts_that_hugging_faces_config_tells_and_the_tensors_lack(kind, lost, said, tmp_path):
    tensors = hugging_face_dinov2(small_model(layer_scale=True, num_classes=0, registers=4))
    config = {**HF_DINOV2, "image_size": 12, "model_type": kind, "intermediate_size": 12}
    (tmp_path / "config.json").write_text(json.dumps(config))
    if kind == "dinov2_with_registers":
        save_file(tensors, tmp_path / "model.safetensors")
        assert minivit.load(tmp_path).config.registers == 4
    save_file({name: a for name, a in tensors.items() if not name.endswith(lost or "none")},
              tmp_path / "model.safetensors")
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(tmp_path)


@pytest.mark.parametrize("gated", [False, True])
def test_swiglu_that_dinov2s_config_tells(gated, tmp_path):
    tensors = hugging_face_dinov2(small_model(layer_scale=True, num_classes=0, gated_mlp=gated))
    if gated:
        tensors = renamed(tensors, ("mlp.fc1", "mlp.weights_in"), ("mlp.fc2", "mlp.weights_out"))
    save_file(tensors, tmp_path / "model.safetensors")
    config = {**HF_DINOV2, "image_size": 12}
    (tmp_path / "config.json").write_text(json.dumps({**config, "use_swiglu_ffn": gated}))
    assert minivit.load(tmp_path).config.gated_mlp == gated
    (tmp_path / "config.json").write_text(json.dumps({**config, "use_swiglu_ffn": not gated}))
    with pytest.raises(minivit.CheckpointError, match=f"says gated_mlp {not gated}, its tensors {gated}"):
        minivit.load(tmp_path)


def hugging_face_deit(model):
    return renamed(hugging_face_dinov2(model), ("dist_token", "embeddings.distillation_token"))


def cut(picture, covered, size, filter_number):
    """The centre of a picture that was scaled to `covered`, up and left of a half as transformers cuts it."""
    picture = picture.resize(covered, filter_number)
    left, top = (covered[0] - size) // 2, (covered[1] - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size))) / 255


PICTURE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (23, 31, 3), np.uint8)).resize((301, 223), 2)


def test_deits_images_without_a_processors_file():
    """DeiTImageProcessor's defaults: 256 x 256 whatever the shape, bicubic, of which the inner 224 x 224."""
    model = minivit.load(hugging_face_deit(small_model(dist_token=True, num_classes=0, image_size=224, patch_size=112)),
                         num_heads=2)
    expected = (cut(PICTURE, (256, 256), 224, 3) - IMAGENET[0]) / IMAGENET[1]
    np.testing.assert_allclose(model.prepare(PICTURE)[0], expected, atol=1e-5)
    assert "preprocessing as DeiT has it" in assumed(model) and "as in DeiT's configuration" in assumed(model)


HALF = ((0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("kind, changes, covered, filter_number, colours", [
    ("clip_vision_model", {"norm_pre": True, "patch_bias": False, "num_classes": 0}, (302, 224), 3, OPENAI),
    ("siglip_vision_model", {"class_token": False, "pool": "map", "num_classes": 0}, None, 3, HALF),
    ("dinov2", {"layer_scale": True, "num_classes": 0}, (302, 224), 3, OPENAI),
    ("dinov2_with_registers", {"layer_scale": True, "num_classes": 0, "registers": 4}, (302, 224), 3, OPENAI),
    ("deit", {"dist_token": True, "num_classes": 0}, (224, 224), 3, HALF),
    ("vit", {"num_classes": 0}, None, 2, HALF)])
def test_a_processors_file_without_a_class(kind, changes, covered, filter_number, colours, told, tmp_path):
    """As AutoImageProcessor has it: the class by model_type; 224 is a square, or CLIP's and Bit's shorter edge."""
    model = small_model(image_size=224, patch_size=112, **changes)
    tensors = tower(model) if "_vision" in kind else hugging_face_deit(model)
    save_file(tensors, tmp_path / "model.safetensors")
    config = {"model_type": kind, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 224, "patch_size": 112}
    if told:
        (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 224} if "siglip" not in kind else {}))
    loaded = minivit.load(tmp_path if told else tmp_path / "model.safetensors", num_heads=2)
    expected = (cut(PICTURE, covered or (224, 224), 224, filter_number) - colours[0]) / colours[1]
    np.testing.assert_allclose(loaded.prepare(PICTURE)[0], expected, atol=1e-5)
    assert ("ImageProcessor, as of" in assumed(loaded)) != told


def test_a_masked_autoencoder_is_the_same_under_hugging_faces_names(tmp_path):
    """Beside its decoder, or by its config: fixed positions and ImageNet's mean and std, as under its own names."""
    model = small_model(position="fixed", num_classes=0, layer_norm_eps=1e-12)
    tensors = {f"vit.{name}": a for name, a in hugging_face_deit(model).items()}
    decoder = {"decoder.mask_token": (1, 1, 4), "decoder.decoder_pos_embed": (1, 10, 4),
               "decoder.decoder_embed.weight": (4, 8)}
    tensors |= {name: np.ones(shape, np.float32) for name, shape in decoder.items()}
    bare = minivit.load(tensors, num_heads=2, dtype="float64")
    same_weights(bare, model)
    assert 'position="fixed"' in assumed(bare) and "ViT-MAE's configuration" in assumed(bare)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit_mae", "hidden_size": 8, "num_hidden_layers": 2,
                                                      "num_attention_heads": 2, "intermediate_size": 12,
                                                      "image_size": 12, "patch_size": 4}))
    told = minivit.load(tmp_path, dtype="float64")
    same_weights(told, model)
    own = minivit.load(timm_names(model) | {"decoder_pos_embed": np.ones((1, 10, 4), np.float32)}, num_heads=2)
    for loaded in (bare, told, own):
        assert (loaded.preprocessing.mean, loaded.preprocessing.std) == IMAGENET
        assert loaded.preprocessing == own.preprocessing and "the masked autoencoder" in assumed(loaded)


def test_a_head_on_cls_and_the_mean_side_by_side_is_refused_or_left_out():
    model = small_model(layer_scale=True, num_classes=0)
    tensors = {f"dinov2.{name}": a for name, a in hugging_face_dinov2(model).items()}
    tensors |= {"classifier.weight": np.ones((3, 16), np.float32), "classifier.bias": np.ones(3, np.float32)}
    options = {"num_heads": 2, "dtype": "float64"}
    with pytest.raises(minivit.CheckpointError, match=r"classifier\.weight reads \[CLS\] and the mean of the patches "
                                                      r"side by side, which minivit does not have: give num_classes=0"):
        minivit.load(tensors, **options)
    same_weights(minivit.load(tensors, num_classes=0, **options), model)
    assert minivit.load(tensors, num_classes=2, **options).config.num_classes == 2


def tower(model):
    """The tensors as transformers has CLIP's and SigLIP's vision towers."""
    made = {}
    spelling = (("cls_token", "embeddings.class_embedding"), ("pos_embed", "embeddings.position_embedding.weight"),
                ("patch_embed.proj", "embeddings.patch_embedding"), ("norm_pre", "pre_layrnorm"),
                ("blocks.", "encoder.layers."), ("attn.proj", "self_attn.out_proj"), ("norm1", "layer_norm1"),
                ("norm2", "layer_norm2"), ("attn_pool.latent", "head.probe"),
                ("attn_pool.proj", "head.attention.out_proj"), ("attn_pool.norm", "head.layernorm"),
                ("attn_pool.mlp", "head.mlp"))
    for name, array in renamed(timm_names(model), *spelling).items():
        kind = name.rpartition(".")[2]
        if "attn.qkv" in name:
            for part, third in zip("qkv", np.split(array, 3)):
                made[name.replace("attn.qkv", f"self_attn.{part}_proj")] = third
        elif "attn_pool.q" in name or "attn_pool.kv" in name:
            made.setdefault(f"head.attention.in_proj_{kind}", []).append(array)
        elif name.startswith("norm."):
            made[f"post_layernorm.{kind}"] = array
        else:
            made[name] = array
    for name in made:
        if "in_proj" in name:
            made[name] = np.concatenate(made[name])
    for name, shape in (("embeddings.class_embedding", (-1,)), ("embeddings.position_embedding.weight", (-1, 8))):
        if name in made:
            made[name] = made[name].reshape(shape)
    return made


SIGLIP = {"class_token": False, "pool": "map", "gelu": "tanh", "num_classes": 0}
VISION = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12, "image_size": 12,
          "patch_size": 4}


@pytest.mark.parametrize("name, changes", [("CLIP", {**CLIP, "num_classes": 0}), ("SigLIP", SIGLIP)])
@pytest.mark.parametrize("whole", [False, True])
def test_hugging_faces_towers(tmp_path, name, changes, whole, capsys):
    """The tower alone, or beside the text side with the config of both; and without a config.json."""
    model = small_model(**changes)
    tensors = tower(model)
    if whole:
        tensors = {f"vision_model.{key}": a for key, a in tensors.items()}
        tensors |= {"text_model.embeddings.token_embedding.weight": np.ones((20, 8), np.float32),
                    "logit_scale": np.ones(1, np.float32)}
    tensors |= {"vision_model." * whole + "embeddings.position_ids": np.ones((1, 10), np.float32)}
    bare = minivit.load(tensors, num_heads=2, dtype="float64")
    same_weights(bare, model)
    err = capsys.readouterr().err
    assert f"layer_norm_eps={model.config.layer_norm_eps} as in {name}'s configuration" in err
    assert f'gelu="{model.config.gelu}"' in err and f"preprocessing as {name} has it" in err
    assert (bare.preprocessing.mean, bare.preprocessing.std) == (OPENAI if name == "CLIP" else ((0.5,) * 3, (0.5,) * 3))
    assert bare.preprocessing.resize == ("crop" if name == "CLIP" else "stretch")
    assert set(bare.origin.ignored) == {key for key in tensors if "text_" in key or "logit" in key or "_ids" in key}
    save_file(tensors, tmp_path / "model.safetensors")
    config = {"model_type": f"{name.lower()}_vision_model", **VISION}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name.lower(), "vision_config": VISION} if whole
                                                     else config))
    same_weights(minivit.load(tmp_path, dtype="float64"), model)


def test_a_projection_of_hugging_faces_clip(capsys):
    model = small_model(**CLIP)
    model.params["head"]["bias"][...] = 0
    tensors = {f"vision_model.{name}": a for name, a in tower(model).items() if not name.startswith("head.")}
    tensors["visual_projection.weight"] = timm_names(model)["head.weight"]
    same_weights(minivit.load(tensors, num_heads=2, dtype="float64"), model)
    assert "a bias of 0, as a projection has none" in capsys.readouterr().err


@pytest.mark.parametrize("tensors, said", [
    ({"embeddings.patch_embedding.weight": np.ones((8, 48), np.float32)}, "missing encoder|missing"),
    ({"embeddings.patch_embedding.weight": np.ones((8, 3, 4, 4), np.float32),
      "classifier.weight": np.ones((3, 8), np.float32)}, "a classifier on the mean of CLIP's or SigLIP's patches"),
])
def test_towers_that_are_refused(tensors, said):
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(tensors)
