"""Whitening: scikit-learn's principal components of the same patches; the images held out have no part in it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from toy_data import SHORT, TINY, colours

import minivit
from minivit import patch_embedding
from minivit.commands import cli
from minivit.images.preparation import normalise
from minivit.training import whitening
from minivit.training.loop import hold_out, train

CONFIG = minivit.ViTConfig(patch_size=4, width=64, num_layers=1, mlp_width=32, num_heads=2, num_classes=5,
                           image_size=16)
PREPROCESSING = minivit.Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))


@pytest.fixture(scope="module")
def images():
    """Pixels like their neighbours: noise of 4 × 4 pixels, and a hundredth of it for each pixel by itself."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(20, 230, (50, 6, 6, 3)).repeat(4, axis=1).repeat(4, axis=2)[:, 3:19, 3:19]
    return (coarse + rng.integers(-3, 4, coarse.shape)).astype(np.uint8)


def whitened(images, config=CONFIG, seed=0):
    """A model's params and the features of all patches, (n N, D)."""
    params = minivit.init(config, seed=1, dtype="float64").params
    whitening.whiten(params, config, images, PREPROCESSING, np.random.default_rng(seed))
    x = normalise(images, PREPROCESSING).astype(np.float64)
    return params, patch_embedding.forward(x, params["patch_embed"], config.patch_size)[0].reshape(-1, config.width)


def components(images):
    """scikit-learn's variances of the patches, falling, with the share 1/n that ours have."""
    patches = patch_embedding.patchify(normalise(images, PREPROCESSING).astype(np.float64), 4).reshape(-1, 48)
    return PCA(svd_solver="full").fit(patches).explained_variance_ * (len(patches) - 1) / len(patches)


@pytest.mark.parametrize("width, k", [(64, 48), (48, 48), (20, 20)])
def test_features_have_the_variances_of_the_equation(images, width, k):
    """s² λ / (λ + ε) for the k largest λ, on average 1 a feature; 0 for the others. ε: 0.04 times the mean of all λ."""
    _, y = whitened(images, replace(CONFIG, width=width))
    variances = components(images)
    shares = (variances / (variances + 0.04 * variances.mean()))[:k]
    found = np.linalg.eigvalsh(np.cov(y.T, bias=True))[::-1]
    np.testing.assert_allclose(found[:k], shares * width / shares.sum(), rtol=1e-6)
    np.testing.assert_allclose(found[k:], 0, atol=1e-10)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-6)
    assert y.var() == pytest.approx(1)


def test_the_seed_spreads_the_directions(images):
    one, same, other = (whitened(images, seed=seed)[0]["patch_embed"]["proj"]["weight"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.99


def test_only_the_patch_embedding_changes(images):
    params, plain = whitened(images)[0], minivit.init(CONFIG, seed=1, dtype="float64").params
    params, plain = ({n: a for n, a in minivit.trees.flatten(p).items() if not n.startswith("patch_embed")}
                     for p in (params, plain))
    assert all(np.array_equal(params[name], plain[name]) for name in plain)


def test_an_embedding_without_a_bias(images):
    params, y = whitened(images, replace(CONFIG, patch_bias=False, norm_pre=True))
    assert "bias" not in params["patch_embed"]["proj"]
    assert np.abs(y.mean(axis=0)).max() > 0.1 and y.var(axis=0).mean() == pytest.approx(1)


def test_moments_are_numpys(images):
    patches = patch_embedding.patchify(images.astype(np.float32), 4)
    mean, covariance = whitening.moments(iter(patches))
    flat = patches.reshape(-1, 48).astype(np.float64)
    np.testing.assert_allclose(mean, flat.mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(flat.T, bias=True), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count, colour", [(3, 77), (600, 77), (600, 200), (601, 33)])
def test_images_of_one_colour_have_nothing_to_whiten(count, colour):
    """Many such images have a variance by rounding."""
    images = np.full((count, 16, 16, 3), colour, np.uint8)
    with pytest.raises(ValueError, match="whiten needs patches that differ: all of these images are of one colour"):
        whitened(images)


# In a run

FRESH = replace(SHORT, mimetic=True, whiten=True)


def begun(folder, recipe=FRESH, data=None):
    """The weights that a run begins with."""
    model = train(colours() if data is None else data, TINY, recipe, folder, progress=False, stop_after=0)
    return minivit.trees.flatten(model.params)


def test_a_run_begins_as_its_recipe_has_it(tmp_path):
    plain = begun(tmp_path / "plain", SHORT)
    for name, expected in (("mimetic", {"pos_embed", "blocks.0.attn.qkv.weight", "blocks.0.attn.proj.weight"}),
                           ("whiten", {"patch_embed.proj.weight", "patch_embed.proj.bias"})):
        found = begun(tmp_path / name, replace(SHORT, **{name: True}))
        assert {n for n in plain if not np.array_equal(plain[n], found[n])} == expected


def test_the_images_held_out_have_no_part_in_it(tmp_path):
    data = colours()
    kept, _ = hold_out(data, FRESH)
    held_out = np.setdiff1d(np.arange(len(data)), kept)
    one = begun(tmp_path / "one", data=data)
    data.images[held_out] = 255 - data.images[held_out]
    other = begun(tmp_path / "other", data=data)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    data.images[kept] //= 2
    third = begun(tmp_path / "third", data=data)
    assert not np.array_equal(one["patch_embed.proj.weight"], third["patch_embed.proj.weight"])


def test_so_many_images_are_looked_at(tmp_path, monkeypatch):
    looked_at = []
    monkeypatch.setattr(whitening, "IMAGES", 10)
    monkeypatch.setattr(whitening, "whiten", lambda params, config, images, *rest: looked_at.append(images))
    data = colours()
    begun(tmp_path, data=data)
    images, = looked_at
    assert len(images) == 10 == len(np.unique(images, axis=0))
    known = {image.tobytes() for image in data.images}
    assert all(image.tobytes() in known for image in images)


def test_the_seed_decides(tmp_path):
    one, other = (begun(tmp_path / str(seed), replace(FRESH, seed=seed)) for seed in (5, 6))
    for name in ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.0.attn.proj.weight"):
        assert (one[name] != other[name]).mean() > 0.99


@pytest.mark.parametrize("setting", ["mimetic", "whiten"])
def test_a_start_has_weights_of_its_own(tmp_path, capsys, setting):
    start = minivit.init(TINY, seed=3, labels=["blue", "red"])
    with pytest.raises(ValueError, match="mimetic and whiten change random weights, and a start has its own: leave"):
        train(colours(), TINY, replace(SHORT, **{setting: True}), tmp_path, start=start, progress=False)
    assert not list(tmp_path.iterdir())
    minivit.save(start, tmp_path / "start.safetensors")
    code = cli.main(["train", str(tmp_path), "--out", str(tmp_path / "run"), "--start",
                     str(tmp_path / "start.safetensors"), f"--{setting}"])
    assert code == 2
    assert capsys.readouterr().err.startswith(f"minivit: --{setting} does not go with --start, whose model has its own")
