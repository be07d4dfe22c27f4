"""What the page computes is what minivit computes: every step, and the gradient of the pixels."""

import re

import numpy as np
import pytest
from explorer_page import MEASURED, served_model
from peaked import peaked_model
from PIL import Image

import minivit
from minivit.explorer.weights import encode
from minivit.samples import CAT, PHOTOS, cifar10_test
from minivit.variants import as_config

pytestmark = pytest.mark.explorer


def note(comparison):
    """Keep the largest difference of each kind of step."""
    for row in comparison.rows:
        kind = re.sub(r"layer\.\d+\.", "layer.*.", row.name)
        MEASURED["parity"][kind] = max(float(row.relative), MEASURED["parity"].get(kind, 0))


def check_gradient(model, pixels, label, gradient):
    """Against minivit.backward's arithmetic in float64, relative to its norm."""
    exact = model.astype("float64")
    logits, cache = exact.forward(pixels.astype("float64"))
    dlogits = minivit.loss.backward(minivit.loss.forward(logits, np.array([label]))[1])
    ours, _ = exact.backward(dlogits, cache)
    relative = np.linalg.norm(gradient - ours) / np.linalg.norm(ours)
    assert relative < 1e-5
    MEASURED["parity"]["gradient of pixels"] = max(float(relative), MEASURED["parity"].get("gradient of pixels", 0))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Files: photos of several shapes and modes, and two test images of each class."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    images, labels = cifar10_test()
    paths = [CAT, *sorted(PHOTOS.rglob("*.jpg"))]

    def keep(image, name, **options):
        image.save(folder / name, **options)
        paths.append(folder / name)

    for k in range(10):
        for i in (0, 5):
            keep(Image.fromarray(images[labels == k][i]), f"{minivit.samples.CLASSES[k]}{i}.png")
    with Image.open(CAT) as photo:
        keep(photo.resize((90, 260)), "tall.png")
        keep(photo.convert("L"), "grey.png")
        keep(photo.crop((0, 0, 31, 17)), "small.bmp")
        keep(photo.transpose(Image.Transpose.ROTATE_270), "turned.jpg", exif=turned_exif(), quality=100, subsampling=0)
    noise = Image.fromarray(rng.integers(0, 256, (211, 173, 4), np.uint8), "RGBA")
    keep(noise, "see-through.png")
    return paths


def turned_exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_every_step_of_every_picture(page, model, pictures):
    """Decoded, resized and normalised in the page; then each step of the trace, and the gradient of the answer."""
    assert len(pictures) >= 20
    for path in pictures:
        page.choose_file(path)
        assert page("document.getElementById('error').hidden"), page.error
        trace = page.trace
        prepared = model.prepare(path)
        if path.suffix == ".jpg":               # two decoders of JPEG may round a colour differently, by one of 255
            assert np.abs(trace["pixels"] - prepared).max() <= 1.01 / 255 / min(model.preprocessing.std), path
        else:
            assert np.array_equal(trace["pixels"], prepared), path
        comparison = minivit.compare(model, trace)
        assert comparison and len(comparison.rows) == len(model_steps(model)) and not comparison.unused, comparison
        note(comparison)
        label, gradient = page.gradient
        assert label == trace["logits"].argmax()
        check_gradient(model, trace["pixels"], label, gradient)
        MEASURED["change"].setdefault("another picture", []).append(page("explorer.milliseconds.change"))


def model_steps(model):
    return minivit.tracing.trace(model, np.zeros((1, *model.config.height_width, 3), np.float32))


def test_gradient_is_that_of_backward(page, model):
    """The public function on the same picture, for a class that is not the answer, chosen in the page."""
    page.click('#answer [data-class="8"]')
    label, gradient = page.gradient
    picture = np.asarray(Image.open(CAT).convert("RGB"))
    g = minivit.backward(picture, "ship", model=model)
    assert label == 8 and np.linalg.norm(gradient - g.image) / np.linalg.norm(g.image) < 1e-4


# The network under changes: each is a model whose weights say the same.

def with_blocks(model, change):
    blocks = [{k: {n: dict(p) for n, p in v.items()} if k in ("attn", "mlp") else v for k, v in b.items()}
              for b in model.params["blocks"]]
    change(blocks)
    return model.with_params({**model.params, "blocks": blocks})


def without_positions(model):
    params = {k: v for k, v in model.params.items() if k != "pos_embed"}
    return minivit.VisionTransformer(as_config(model.config, position="none"), params, labels=model.labels,
                                     preprocessing=model.preprocessing)


def without_head(model, layer, head):
    d = model.config.width // model.config.num_heads

    def change(blocks):
        proj = blocks[layer]["attn"]["proj"]
        proj["weight"] = proj["weight"].copy()
        proj["weight"][head * d:(head + 1) * d] = 0
    return with_blocks(model, change)


def without_layer(model, layer):
    def change(blocks):
        for part in (blocks[layer]["attn"]["proj"], blocks[layer]["mlp"]["fc2"]):
            part.update({k: np.zeros_like(v) for k, v in part.items()})
    return with_blocks(model, change)


def at_temperature(model, temperature):
    D = model.config.width

    def change(blocks):
        for block in blocks:
            qkv = block["attn"]["qkv"]
            qkv.update({k: np.concatenate([v[..., :D] / temperature, v[..., D:]], axis=-1) for k, v in qkv.items()})
    return with_blocks(model, change)


CHANGES = {
    "positions off": ("{positions: false}", without_positions),
    "head off": ("{headsOff: new Set(['2.1', '0.0'])}", lambda m: without_head(without_head(m, 2, 1), 0, 0)),
    "layer off": ("{layersOff: new Set([3])}", lambda m: without_layer(m, 3)),
    "temperature": ("{temperature: 1.7}", lambda m: at_temperature(m, np.float32(1.7))),
    "all": ("{positions: false, layersOff: new Set([1]), headsOff: new Set(['4.2']), temperature: 0.6}",
            lambda m: at_temperature(without_head(without_layer(without_positions(m), 1), 4, 2), np.float32(0.6))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_network(page, model, name):
    script, changed = CHANGES[name]
    page.driver.execute_script(f"explorer.change({script})")
    page.settle()
    trace, reference = page.trace, changed(model)
    if "temperature" in script:                 # the reference's queries hold what the page divides the scores by
        trace = {step: a for step, a in trace.items() if not step.endswith(".query")}
    comparison = minivit.compare(reference, trace)
    assert comparison, comparison
    label, gradient = page.gradient
    check_gradient(reference, trace["pixels"], label, gradient)
    assert not minivit.compare(model, trace)


# Other networks, encodings and arithmetic, each in the page's own modules.

CONFIGS = {
    "wide picture, mean of the patches": dict(patch_size=4, width=24, num_layers=2, mlp_width=40, num_heads=3,
                                              num_classes=7, image_size=(12, 20), pool="mean", class_token=False,
                                              position="sincos2d", gelu="tanh", layer_norm_eps=1e-5),
    "mean beside [CLS]": dict(patch_size=2, width=20, num_layers=3, mlp_width=30, num_heads=5, num_classes=3,
                              image_size=8, pool="mean"),
    "one head, a large patch, no positions": dict(patch_size=8, width=12, num_layers=2, mlp_width=9, num_heads=1,
                                                  num_classes=11, image_size=24, position="none"),
    "of another size, as the packaged model once was": dict(patch_size=4, width=128, num_layers=6, mlp_width=512,
                                                            num_heads=4, num_classes=10, image_size=32),
}

RUN = """
    const [{{read_model}}, vit] = await Promise.all([import("{where}weights.js"), import("{where}vit.js")]);
    const model = read_model(await (await fetch("/other.safetensors")).arrayBuffer());
    const pixels = new Float32Array(await (await fetch("/other.f32")).arrayBuffer());
    const trace = vit.forward(pixels, model), K = model.config.num_classes;
    const dlogits = vit.loss_backward(trace.probabilities.data, {label});
    const data = vit.backward(dlogits, trace, model).pixels;
    return {{...trace, "gradient of pixels": {{data, shape: trace.pixels.shape}}}};
"""


def ran(modules, files, network, encoding, where="/", label=1):
    """(steps, gradient, pixels) of a model that is run in the page."""
    rng = np.random.default_rng(7)
    pixels = rng.standard_normal((1, *network.config.height_width, 3)).astype(np.float32)
    files["other.safetensors"], files["other.f32"] = encode(network, encoding), pixels.tobytes()
    steps = modules.arrays(RUN.format(where=where, label=label))
    return steps, steps.pop("gradient of pixels"), pixels


def peaked(config):
    """A model whose attention is not flat and whose biases are not zero: flat weights hide mistakes."""
    return peaked_model(minivit.ViTConfig(**config), dtype="float32")


@pytest.mark.parametrize("encoding", ["float32", "float16", "int8"])
@pytest.mark.parametrize("config", CONFIGS)
def test_other_networks(modules, files, tmp_path, config, encoding):
    network = peaked(CONFIGS[config])
    steps, gradient, pixels = ran(modules, files, network, encoding)
    reference = served_model(files["other.safetensors"], network, tmp_path)
    comparison = minivit.compare(reference, steps)
    assert comparison and len(comparison.rows) == len(model_steps(reference)), comparison
    check_gradient(reference, pixels, 1, gradient)


FAULTS = {
    "scores not scaled": ("vit.js", "scores[i] /= Math.sqrt(d) * temperature", "scores[i] /= temperature"),
    "keys for queries": ("vit.js", "[query, key, value] = [0, 1, 2]", "[query, key, value] = [1, 0, 2]"),
    "heads merged wrongly": ("vit.js", "(t * H + h) * d);", "(t * H + (H - 1 - h)) * d);"),
    "[CLS] behind the patches": ("vit.js", "Float32Array.of(...params.cls_token, ...x)",
                                 "Float32Array.of(...x, ...params.cls_token)"),
    "patches column by column": ("vit.js", "Math.floor(row / P) * columns + Math.floor(column / P)",
                                 "Math.floor(column / P) * (height / P) + Math.floor(row / P)"),
    "variance with D - 1": ("vit.js", "variance += (x[at + j] - mean) ** 2 / D",
                            "variance += (x[at + j] - mean) ** 2 / (D - 1)"),
    "a coarse erf": ("erf.js", "3.20937758913846947e3", "3.2e3"),
    "softmax without its shared term, backward": ("vit.js", "(da[at + j] - shared)", "da[at + j]"),
    "no residual in backward": ("vit.js", "return add(dresidual1, layer_norm_backward", "return (layer_norm_backward"),
    "GELU's slope without its density": ("vit.js", "v * Math.exp(-v * v / 2)", "0 * Math.exp(-v * v / 2)"),
    "LayerNorm's scale term missing, backward": ("vit.js", "inverseStd * scale) * inverseStd", "0) * inverseStd"),
    "a row of the kernel skipped": ("kernel.js", "numbers.fill(0, at + i * K + k, at + (i + 1) * K);",
                                    "numbers.fill(1, at + i * K + k, at + (i + 1) * K);"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_comparison_can_fail(modules, files, tmp_path, fault):
    """A fault planted in a copy of the page's code: the steps, or the gradient, must show it."""
    name, right, wrong = FAULTS[fault]
    for other in [n for n in files if n.endswith(".js") and "/" not in n]:
        files[f"{fault.replace(' ', '-')}/{other}"] = files[other]
    text = files[name].decode()
    assert text.count(right) == 1
    files[f"{fault.replace(' ', '-')}/{name}"] = text.replace(right, wrong).encode()
    network = peaked(dict(patch_size=4, width=24, num_layers=2, mlp_width=40, num_heads=3, num_classes=7,
                          image_size=(12, 16)))          # 13 tokens: no multiple of the kernel's four
    steps, gradient, pixels = ran(modules, files, network, "float32", f"/{fault.replace(' ', '-')}/")
    reference = served_model(files["other.safetensors"], network, tmp_path)
    agrees = bool(minivit.compare(reference, steps))
    if "backward" in fault or "slope" in fault:
        assert agrees
        with pytest.raises(AssertionError):
            check_gradient(reference, pixels, 1, gradient)
    else:
        assert not agrees


def test_kernel_and_plain_product_agree(modules):
    """The WebAssembly kernel is in use, and multiplies as plain JavaScript does, at shapes that fill no block."""
    results = modules.arrays("""
        const { product, plain_product } = await import("/linear.js"), out = {};
        if (product === plain_product) throw new Error("no kernel");
        let seed = 1;
        const random = (n) => Float32Array.from({length: n}, () => (seed = seed * 16807 % 2147483647) / 1e9 - 1.07);
        const shapes = [[1, 1, 1], [2, 3, 5], [4, 2, 4], [5, 7, 9], [65, 10, 65], [33, 65, 130], [65, 384, 192]];
        for (const [n, m, k] of shapes) {
            const a = random(n * k), b = random(m * k), bias = random(m);
            out[`kernel ${n} ${m} ${k}`] = {data: product(a, b, n, m, k, bias), shape: [n, m]};
            out[`plain ${n} ${m} ${k}`] = {data: plain_product(a, b, n, m, k, bias), shape: [n, m]};
        }
        return out;""")
    kernels = [name for name in results if name.startswith("kernel")]
    assert len(kernels) == 7
    for name in kernels:
        plain = results[name.replace("kernel", "plain")]
        assert np.linalg.norm(results[name] - plain) <= 1e-6 * np.linalg.norm(plain), name


def test_resize_is_pillows(modules, files):
    """Every way of scaling, up and down, wide and tall, equals Pillow's to the bit; so does the whole preparation."""
    rng = np.random.default_rng(1)
    ways = {"bicubic": 3, "bilinear": 2, "lanczos": 1, "nearest": 0}
    cases = []
    for i in range(60):
        h, w, H, W = (int(n) for n in rng.integers(1, 200, 4))
        way = list(ways)[i % 4]
        if i % 5 == 0:
            w = W
        pixels = rng.integers(0, 2, (h, w, 3), np.uint8) * 255 if i % 2 else rng.integers(0, 256, (h, w, 3), np.uint8)
        cases.append((pixels, W, H, way))
        files[f"resize/{i}"] = pixels.tobytes()
    results = modules.arrays(f"""
        const {{ resize }} = await import("/preparation.js"), out = {{}};
        for (const [i, width, height, W, H, way] of {[[i, c[0].shape[1], c[0].shape[0], *c[1:]]
                                                      for i, c in enumerate(cases)]}) {{
            const data = new Uint8Array(await (await fetch(`/resize/${{i}}`)).arrayBuffer());
            out[i] = {{data: Float32Array.from(resize({{width, height, data}}, W, H, way).data), shape: [H, W, 3]}};
        }}
        return out;""")
    for i, (pixels, W, H, way) in enumerate(cases):
        assert np.array_equal(results[str(i)], np.asarray(Image.fromarray(pixels).resize((W, H), ways[way]))), (i, way)


@pytest.mark.parametrize("preprocessing, size", [
    (dict(resize="crop", crop_fraction=0.875, interpolation="bicubic", mean=(0.485, 0.456, 0.406),
          std=(0.229, 0.224, 0.225)), 24),
    (dict(resize="crop", crop_fraction=0.9, interpolation="bilinear"), (20, 28)),
    (dict(resize="stretch", interpolation="lanczos"), (12, 36))])
def test_preparation_of_other_models(modules, files, preprocessing, size):
    rng = np.random.default_rng(2)
    model = minivit.init(minivit.ViTConfig(patch_size=4, width=8, num_layers=1, mlp_width=8, num_heads=1,
                                           num_classes=2, image_size=size))
    model = minivit.VisionTransformer(model.config, model.params, preprocessing=minivit.Preprocessing(**preprocessing))
    files["other.safetensors"] = encode(model, "float32")
    for h, w in ((50, 50), (37, 91), (120, 33), (10, 13)):
        picture = rng.integers(0, 256, (h, w, 4), np.uint8)
        picture[..., 3] = 255
        files["other.rgba"] = picture.tobytes()
        H, W = model.config.height_width
        prepared = modules.arrays(f"""
            const [{{read_model}}, {{prepare}}] = await Promise.all([import("/weights.js"), import("/preparation.js")]);
            const model = read_model(await (await fetch("/other.safetensors")).arrayBuffer());
            const rgba = new Uint8ClampedArray(await (await fetch("/other.rgba")).arrayBuffer());
            return {{pixels: {{data: prepare({{width: {w}, height: {h}, rgba}}, model), shape: [1, {H}, {W}, 3]}}}};""")
        assert np.array_equal(prepared["pixels"], model.prepare(picture[..., :3])), (h, w)
