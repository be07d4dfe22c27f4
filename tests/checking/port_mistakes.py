"""One-line mistakes in `plain_port`, as text: what people write when they port a ViT. None is made with minivit's code.

A Mistake is the old line, the new one, the first step that it shows in, and what must stand in the cause: one of the
words. `draw` makes more of them: in one layer alone, with other numbers, with other layers' weights.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """old, new: a piece of the port's text. first: the step that differs first. words: the cause holds one of them."""

    old: str
    new: str
    first: str
    words: tuple

    @property
    def name(self):
        return f"{self.old.strip()[:40]} -> {self.new.strip()[:60]}"


VARIANCE, XHAT = "variance = x.var(axis=-1, keepdims=True)", "xhat = (x - mean) / np.sqrt(variance + eps)"
AFFINE, GELU = 'return xhat * w["weight"] + w["bias"]', "return 0.5 * h * (1 + erf(h / math.sqrt(2)))"
CUT = "image.reshape(B, rows, P, columns, P, 3).transpose(0, 1, 3, 2, 4, 5).reshape(B, N, P * P * 3)"
EMBED, CLS = 'z = linear(patches, params["patch_embed"]["proj"])', 'cls = np.repeat(params["cls_token"], B, axis=0)'
JOIN = "z = np.concatenate([cls, z], axis=1)"
TABLE, PLACE = 'position = params["pos_embed"]', "z = z + position"
NORM1, QKV = 'y = layer_norm(z, w["norm1"])', 'qkv = linear(y, w["attn"]["qkv"])'
PARTS, HEADS = "q, k, v = qkv[..., :D], qkv[..., D:2 * D], qkv[..., 2 * D:]", "q, k, v = split(q), split(k), split(v)"
SPLIT = "return x.reshape(B, T, H, d).transpose(0, 2, 1, 3)"
SCORES, SCALE, SOFTMAX = "s = q @ k.transpose(0, 1, 3, 2)", "s = s / math.sqrt(d)", "a = softmax(s)"
EXP, SUM = "e = np.exp(s - s.max(axis=-1, keepdims=True))", "return e / e.sum(axis=-1, keepdims=True)"
MIX, MERGE = "o = a @ v", "o = o.transpose(0, 2, 1, 3).reshape(B, T, D)"
PROJECT, ADD1 = 'o = linear(o, w["attn"]["proj"])', "r = z + o"
NORM2, FC1, ACT = 'n = layer_norm(r, w["norm2"])', 'h = linear(n, w["mlp"]["fc1"])', "h = gelu(h)"
FC2, ADD2 = 'm = linear(h, w["mlp"]["fc2"])', "z = r + m"
FINAL, READ, HEAD = 'z = layer_norm(z, params["norm"])', "c = z[:, 0]", 'logits = linear(c, params["head"])'

UNKNOWN = ()               # no cause is named: what the step shows is told instead
# (old, [(new, words), …], the step), in the network's order.
TABLES = [
    ("    image = x\n", "patches", [
        ("    image = x[..., ::-1]\n", ("blue, green, red",)), ("    image = x[:, :, ::-1]\n", ("mirrored",)),
        ("    image = x[:, ::-1]\n", ("head",)), ("    image = x * 255\n", ("255",)),
        ("    image = x / 255\n", ("255", "0.00392")), ("    image = 2 * x - 1\n", ("2 times",)),
        ("    image = (x - 0.5) / 0.5\n", ("2 times",)), ("    image = np.roll(x, 1, axis=-1)\n", ("channel", "order")),
        ("    image = np.clip(x, -1, 1)\n", ("clip",))]),
    (CUT, "patches", [
        ("image.reshape(B, N, P * P * 3)", ("reshape without the transpose",)),
        (CUT.replace("0, 1, 3, 2, 4, 5", "0, 1, 3, 5, 2, 4"), ("flattened in another order",)),
        (CUT.replace("0, 1, 3, 2, 4, 5", "0, 1, 3, 4, 2, 5"), ("flattened in another order",)),
        (CUT.replace("0, 1, 3, 2, 4, 5", "0, 3, 1, 2, 4, 5"), ("column by column",)),
        (CUT + "[:, ::-1]", ("last to the first",))]),
    (EMBED, "patch_embedding", [
        ('z = patches @ params["patch_embed"]["proj"]["weight"]', ("proj.bias is missing",)),
        ('z = patches @ params["patch_embed"]["proj"]["weight"][::-1] + params["patch_embed"]["proj"]["bias"]',
         UNKNOWN),
        ('z = linear(patches, params["patch_embed"]["proj"]) + params["patch_embed"]["proj"]["bias"]',
         ("added twice",)),
        ('z = gelu(linear(patches, params["patch_embed"]["proj"]))', ("GELU",)),
        ('z = linear(patches, params["patch_embed"]["proj"]) * math.sqrt(D)', ("4.89898 times",))]),
    (CLS, "tokens", [
        ("cls = np.zeros((B, 1, D))", ("zeros",)), ("cls = z.mean(axis=1, keepdims=True)", ("mean of the patches",)),
        ('cls = np.repeat(params["cls_token"], B, axis=0) + params["pos_embed"][:, :1]', UNKNOWN),
        ("cls = np.ones((B, 1, D))", ("ones",))]),
    (JOIN, "tokens", [("z = np.concatenate([z, cls], axis=1)", ("after the patches",)),
                      ("z = np.concatenate([cls, z[:, ::-1]], axis=1)", ("another order", "order"))]),
    (TABLE, "embedded", [
        ('position = 0 * params["pos_embed"]', ("positions are missing",)),
        ('position = 2 * params["pos_embed"]', ("added twice",)),
        ('position = np.roll(params["pos_embed"], 1, axis=1)', ("position last",)),
        ('position = params["pos_embed"] * (np.arange(T) > 0)[:, None]', ("no position",)),
        ('position = params["pos_embed"][:, ::-1]', ("position", "order")),
        ('position = params["pos_embed"].mean(axis=1, keepdims=True)', ("position", "one vector")),
        ('position = np.concatenate([params["pos_embed"][:, :1], params["pos_embed"][:, 1:].reshape(1, rows, columns, '
         'D).transpose(0, 2, 1, 3).reshape(1, N, D)], axis=1)', ("column by column",))]),
    (PLACE, "embedded", [("z = z", ("positions are missing",)), ("z = z - position", ("subtracted",)),
                         ("z = z * position", UNKNOWN),
                         ("z = z * math.sqrt(D) + position", ("3.89898 × (the tokens",)),
                         ("z = layer_norm(z + position, blocks[0]['norm1'])", ("norm1",))]),
    (VARIANCE, "layer.0.norm1", [
        ("variance = x.var(axis=-1, ddof=1, keepdims=True)", ("ddof=1",)),
        ("variance = (x * x).mean(axis=-1, keepdims=True)", ("variance", "mean")),
        ("variance = x.var(axis=1, keepdims=True) if x.ndim == 3 else x.var()", UNKNOWN),
        ("variance = x.var(axis=-1, keepdims=True) + 1e-3", ("eps is 0.001",)),
        ("variance = x.var(axis=-1, keepdims=True) + 9e-6", ("eps is 1e-05",)),
        ("variance = x.std(axis=-1, keepdims=True)", ("variance", "root"))]),
    (XHAT, "layer.0.norm1", [
        ("xhat = (x - mean) / (np.sqrt(variance) + eps)", ("outside",)),
        ("xhat = (x - mean) / np.sqrt(variance)", ("without eps", "eps")),
        ("xhat = (x - mean) / np.sqrt(variance + 1e-12)", ("eps is 1e-12",)),
        ("xhat = (x - mean) / np.sqrt(variance + 1e-5)", ("eps is 1e-05",)),
        ("xhat = (x - mean) / np.sqrt(variance + 3e-4)", ("eps is 0.0003",)),
        ("xhat = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)", ("RMSNorm",)),
        ("xhat = (x - mean) / (variance + eps)", ("root is missing",)),
        ("xhat = x / np.sqrt(variance + eps)", ("mean is not subtracted",)),
        ("xhat = x - mean", ("mean alone",)),
        ("xhat = (x - mean) / (x.std(axis=-1, ddof=1, keepdims=True) + 1e-6)", ("ddof=1",))]),
    (AFFINE, "layer.0.norm1", [
        ("return xhat", ("no weight, no bias",)), ('return xhat * w["weight"]', ("bias is missing",)),
        ('return xhat + w["bias"]', ("weight is missing",)),
        ('return xhat * (1 + w["weight"]) + w["bias"]', ("1 + weight",)),
        ('return xhat * w["bias"] + w["weight"]', ("swapped",)),
        ('return (xhat + w["bias"]) * w["weight"]', ("before the scale",)),
        ('return xhat * w["weight"] - w["bias"]', ("subtracted",))]),
    (NORM1, "layer.0.norm1", [("y = z", ("LayerNorm is missing", "missing")),
                              ('y = layer_norm(z, w["norm2"])', ("norm2",)),
                              ('y = layer_norm(z, params["norm"])', ("final norm",)),
                              ('y = layer_norm(2 * z, w["norm1"])', ("eps is 2.5e-07",))]),
    (NORM1, "layer.1.norm1", [('y = layer_norm(first, w["norm1"])', ("embedded",))]),
    (QKV, "layer.0.query", [
        ('qkv = y @ w["attn"]["qkv"]["weight"]', ("qkv.bias is missing",)),
        ('qkv = linear(z, w["attn"]["qkv"])', ("input",)),
        ('qkv = y @ np.concatenate([p.T for p in np.split(w["attn"]["qkv"]["weight"], 3, axis=1)], axis=1) '
         '+ w["attn"]["qkv"]["bias"]', ("transposed",)),
        ('qkv = y @ w["attn"]["qkv"]["weight"].T.reshape(D, 3 * D) + w["attn"]["qkv"]["bias"]', ("reshaped",))]),
    (PARTS, "layer.0.query", [
        ("k, q, v = qkv[..., :D], qkv[..., D:2 * D], qkv[..., 2 * D:]", ("order k, q, v",)),
        ("v, k, q = qkv[..., :D], qkv[..., D:2 * D], qkv[..., 2 * D:]", ("order v, k, q",)),
        ("q, k, v = (qkv.reshape(B, T, D, 3)[..., j] for j in range(3))", ("heads are split",)),
        ("q, k, v = (qkv.reshape(B, T, H, 3, d)[:, :, :, j].reshape(B, T, D) for j in range(3))",
         ("heads are split",))]),
    (PARTS, "layer.0.key", [("q, v, k = qkv[..., :D], qkv[..., D:2 * D], qkv[..., 2 * D:]", ("order q, v, k",)),
                            ("q, k, v = qkv[..., :D], qkv[..., :D], qkv[..., 2 * D:]", ("k is made with q",))]),
    (PARTS, "layer.0.value", [("q, k, v = qkv[..., :D], qkv[..., D:2 * D], qkv[..., D:2 * D]", ("v is made with k",))]),
    (SPLIT, "layer.0.query", [("return x.reshape(B, H, T, d)", ("reshape without the transpose",)),
                              ("return x.reshape(B, T, d, H).transpose(0, 3, 1, 2)", ("heads are split",)),
                              ("return x.reshape(B, T, H, d).transpose(0, 2, 1, 3)[:, ::-1]",
                               ("last to the first", "swapped"))]),
    (HEADS, "layer.0.query", [("q, k, v = split(q) / math.sqrt(d), split(k), split(v)", ("0.353553 times",))]),
    (HEADS, "layer.0.key", [("q, k, v = split(q), split(k)[:, ::-1], split(v)", ("order", "swapped"))]),
    (SCORES, "layer.0.scores", [("s = k @ q.transpose(0, 1, 3, 2)", ("k qᵀ", "transposed")),
                                ("s = q @ q.transpose(0, 1, 3, 2)", ("queries",)),
                                ("s = k @ k.transpose(0, 1, 3, 2)", ("keys",)),
                                ("s = q @ v.transpose(0, 1, 3, 2)", ("values",))]),
    (SCALE, "layer.0.scores", [("s = s", ("scale of the scores is missing",)), ("s = s / math.sqrt(D)", ("1/√D",)),
                               ("s = s / d", ("1/d", "twice")), ("s = s * math.sqrt(d)", ("√d instead",)),
                               ("s = s / math.sqrt(H)", ("1/√H",)), ("s = s / 10", ("0.282843 times",)),
                               ("s = np.where(np.tri(T) > 0, s / math.sqrt(d), -1e9)", ("differs", "mask"))]),
    (SOFTMAX, "layer.0.attention", [
        ("a = softmax(s.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)", ("wrong axis",)), ("a = s", ("missing",)),
        ("a = softmax(np.where(np.tri(T) > 0, s, -np.inf))", ("causal",)), ("a = 1 / (1 + np.exp(-s))", ("sigmoid",)),
        ("a = softmax(s) * (rng.random(s.shape) > 0.2) / 0.8", ("dropout",)),
        ("a = softmax(np.where(np.eye(T) > 0, -np.inf, s))", ("itself",)),
        ("a = softmax(s).transpose(0, 1, 3, 2)", ("transposed",)), ("a = softmax(softmax(s))", ("twice", "softmax")),
        ("a = softmax(s.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)", ("over the heads",)),
        ("a = softmax(s / 2)", ("softmax", "scores")),
        ("a = softmax(s).astype(np.float16).astype(np.float64)", ("float16",)),
        ("a = np.exp(s) / (1 + np.exp(s).sum(axis=-1, keepdims=True))", ("softmax1",))]),
    (MIX, "layer.0.attended", [("o = a.transpose(0, 1, 3, 2) @ v", ("transposed",)), ("o = a @ k", ("keys",)),
                               ("o = a @ q", ("queries",)), ("o = s @ v", ("scores",)), ("o = v", ("value",))]),
    (MERGE, "layer.0.attended", [("o = o.reshape(B, T, D)", ("reshape without the transpose",)),
                                 ("o = o.transpose(0, 2, 3, 1).reshape(B, T, D)", ("feature by feature",)),
                                 ("o = o[:, ::-1].transpose(0, 2, 1, 3).reshape(B, T, D)", ("reverse order",))]),
    (PROJECT, "layer.0.attended", [
        ("o = o", ("proj is missing",)), ('o = o @ w["attn"]["proj"]["weight"]', ("proj.bias is missing",)),
        ('o = o @ w["attn"]["proj"]["weight"].T + w["attn"]["proj"]["bias"]', ("transposed",)),
        ('o = 0.5 * linear(o, w["attn"]["proj"])', ("0.5 times",)),
        ('o = linear(o, w["attn"]["proj"]) * (rng.random((B, T, D)) > 0.1) / 0.9', ("dropout",)),
        ('o = linear(linear(o, w["attn"]["proj"]), w["attn"]["proj"])', ("twice",)),
        ('o = gelu(linear(o, w["attn"]["proj"]))', ("GELU",))]),
    (ADD1, "layer.0.residual1", [
        ("r = o", ("residual is missing",)), ("r = y + o", ("normed",)), ("r = z", ("branch is not added",)),
        ("r = z - o", ("subtracted",)), ("r = (z + o) / 2", ("halved",)), ("r = z + 0.1 * o", ("0.1 ×",)),
        ("r = (z + o) / math.sqrt(2)", ("√2",)), ('r = layer_norm(z + o, w["norm1"])', ("norm1",)),
        ("r = z + o * (rng.random((B, 1, 1)) > 2)", ("branch is not added", "not added")),
        ("r = z + o + y", ("norm1",)), ("r = z * o", ("multipl",))]),
    (NORM2, "layer.0.norm2", [("n = r", ("missing",)), ('n = layer_norm(r, w["norm1"])', ("norm1",)),
                              ('n = layer_norm(z, w["norm2"])', ("input",)),
                              ('n = layer_norm(o, w["norm2"])', ("attention",)),
                              ('n = layer_norm(layer_norm(r, w["norm2"]), w["norm2"])', ("once more", "twice")),
                              ("n = y", ("norm1",))]),
    (FC1, "layer.0.hidden", [('h = n @ w["mlp"]["fc1"]["weight"]', ("fc1.bias is missing",)),
                             ('h = linear(r, w["mlp"]["fc1"])', ("residual",)),
                             ('h = linear(y, w["mlp"]["fc1"])', ("norm1",)),
                             ('h = n @ w["mlp"]["fc1"]["weight"].T.reshape(D, M) + w["mlp"]["fc1"]["bias"]',
                              ("reshaped",))]),
    (GELU, "layer.0.hidden", [
        ("return 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h ** 3)))", ("tanh",)),
        ("return h / (1 + np.exp(-1.702 * h))", ("QuickGELU",)), ("return np.maximum(h, 0)", ("ReLU",)),
        ("return h / (1 + np.exp(-h))", ("SiLU",)), ("return h", ("activation is missing",)),
        ("return 0.5 * h * (1 + erf(h))", ("erf(x)",)), ("return h * (1 + erf(h / math.sqrt(2)))", ("½", "2 times")),
        ("return 0.5 * (1 + erf(h / math.sqrt(2)))", ("factor x",)), ("return np.tanh(h)", ("tanh",)),
        ("return np.where(h > 0, h, 0.01 * h)", ("leaky",)), ("return np.where(h > 0, h, 0.2 * h)", ("leaky",)),
        ("return 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * h))", ("cubic",)),
        ("return np.maximum(h, 0) ** 2", ("squared",)),
        ("return np.where(h > 0, h, np.exp(h) - 1)", ("ELU",))]),
    (ACT, "layer.0.hidden", [("h = gelu(gelu(h))", ("twice",)),
                             ("h = gelu(h) * (rng.random(h.shape) > 0.1) / 0.9", ("dropout",))]),
    (FC2, "layer.0.mlp", [('m = h @ w["mlp"]["fc2"]["weight"]', ("fc2.bias is missing",)),
                          ('m = gelu(linear(h, w["mlp"]["fc2"]))', ("GELU",)),
                          ('m = 2 * linear(h, w["mlp"]["fc2"])', ("2 times",)),
                          ('m = linear(h, w["mlp"]["fc2"]) + n', ("norm2",)),
                          ('m = linear(h, w["mlp"]["fc2"]) + w["mlp"]["fc2"]["bias"]', ("added twice",)),
                          ('m = layer_norm(linear(h, w["mlp"]["fc2"]), w["norm2"])', ("norm2",))]),
    (ADD2, "layer.0.output", [
        ("z = m", ("residual is missing",)), ("z = n + m", ("normed",)), ("z = z + m", ("input",)),
        ("z = y + m", ("norm1",)),
        ("z = r - m", ("subtracted",)), ("z = r + m + z", ("input",)), ("z = 0.5 * r + m", ("0.5 ×",)),
        ("z = first + m", ("embedded", "input")), ("z = o + m", ("attention",)), ("z = r + 0.3 * m", ("0.3 ×",)),
        ('z = layer_norm(r + m, w["norm2"])', ("norm2",))]),
    (FINAL, "norm", [("z = z", ("final LayerNorm is missing",)), ('z = layer_norm(z, blocks[-1]["norm2"])', ("norm2",)),
                     ('z = layer_norm(r, params["norm"])', ("residual",)),
                     ('z = layer_norm(layer_norm(z, params["norm"]), params["norm"])', ("once more",)),
                     ('z = layer_norm(first, params["norm"])', ("embedded",))]),
    (READ, "representation", [
        ("c = z[:, -1]", ("last token", "last one")), ("c = z[:, 1]", ("first patch", "token 1")),
        ("c = z[:, 1:].mean(axis=1)", ("mean after",)),
        ("c = z.mean(axis=1)", ("mean of all",)), ("c = z.max(axis=1)", ("max",)), ("c = z[:, 5]", ("token 5",)),
        ("c = z[:, 0] / np.linalg.norm(z[:, 0], axis=-1, keepdims=True)", ("length",)),
        ("c = np.tanh(z[:, 0])", ("tanh",)),
        ("c = z[:, 0] + z[:, 1:].mean(axis=1)", ("representation", "read-out"))]),
    (HEAD, "logits", [
        ('logits = c @ params["head"]["weight"]', ("head.bias is missing",)),
        ('logits = np.roll(linear(c, params["head"]), 1, axis=-1)', ("moved 1",)),
        ('logits = linear(c, params["head"])[:, ::-1]', ("last to the first",)),
        ('logits = softmax(linear(c, params["head"]))', ("softmax",)),
        ('logits = linear(c, params["head"]) / 2', ("0.5 times",)),
        ('logits = np.log(softmax(linear(c, params["head"])))', ("logarithm of a softmax",)),
        ('logits = c @ params["head"]["weight"].T.reshape(D, -1) + params["head"]["bias"]', ("reshaped",)),
        ('logits = linear(z.mean(axis=1), params["head"])', UNKNOWN)]),
    ("w = blocks[i]", "layer.0.norm1", [("w = blocks[L - 1 - i]", ("last to the first",)),
                                        ("w = blocks[(i + 1) % L]", ("i + 1", "left out"))]),
    ("w = blocks[i]", "layer.1.norm1", [("w = blocks[0]", ("first one",)), ("w = blocks[-i]", ("swapped",)),
                                        ("w = blocks[max(i - 1, 0)]", ("twice",)),
                                        ("w = blocks[[0, 2, 1, 3][i]]", ("swapped",)),
                                        ("w = blocks[min(i + (i > 0), L - 1)]", ("left out",))]),
]

MISTAKES = [Mistake(old, new, first, words) for old, first, table in TABLES for new, words in table]
IN_LOOP = (NORM1, QKV, PARTS, HEADS, SCORES, SCALE, SOFTMAX, MIX, MERGE, PROJECT, ADD1, NORM2, FC1, ACT, FC2, ADD2)


def draw(rng, count, layers):
    """`count` further Mistakes: in one layer alone, with numbers or with other layers' weights that rng draws."""
    one = [mistake for mistake in MISTAKES if mistake.old in IN_LOOP and mistake.first.startswith("layer.0.")]
    drawn = {}
    while len(drawn) < count:
        mistake = rng.choice([_in_one_layer, _with_a_number, _with_other_weights])(rng, one, layers)
        drawn[mistake.new] = mistake
    return list(drawn.values())


def _in_one_layer(rng, mistakes, layers):
    mistake, i = mistakes[rng.integers(len(mistakes))], int(rng.integers(layers))
    left, old = mistake.old.split(" = ", 1)
    names, new = mistake.new.split(" = ", 1)
    if names == left:
        return Mistake(mistake.old, f"{left} = ({new}) if i == {i} else ({old})", mistake.first.replace("0", str(i), 1),
                       mistake.words)
    return Mistake(mistake.old, mistake.new, mistake.first, mistake.words)


def _with_a_number(rng, mistakes, layers):
    number = float(f"{rng.choice([0.1, 0.25, 0.7, 1.5, 3, 8]) * rng.uniform(0.9, 1.1):.3g}")
    eps = float(f"{10 ** rng.uniform(-5, -2):.2g}")
    token = int(rng.integers(2, 20))
    return [Mistake(XHAT, f"xhat = (x - mean) / np.sqrt(variance + {eps})", "layer.0.norm1", (f"eps is {eps:.4g}",)),
            Mistake(READ, f"c = z[:, {token}]", "representation", (f"token {token}", "middle token")),
            Mistake(SCALE, f"s = s / math.sqrt(d) * {number}", "layer.0.scores", (f"{number:.6g} times",)),
            Mistake(ADD1, f"r = z + {number} * o", "layer.0.residual1", (f"{number:.6g} ×",)),
            Mistake(ADD2, f"z = {number} * r + m", "layer.0.output", (f"{number:.6g} ×",)),
            Mistake(FC2, f'm = {number} * linear(h, w["mlp"]["fc2"])', "layer.0.mlp", (f"{number:.6g} times",)),
            Mistake(HEAD, f'logits = linear(c, params["head"]) * {number}', "logits", (f"{number:.6g} times",))
            ][rng.integers(7)]


def _with_other_weights(rng, mistakes, layers):
    i, j = (int(k) for k in rng.permutation(layers)[:2])
    old, section, first = [(NORM1, 'w["norm1"]', "norm1"), (QKV, 'w["attn"]["qkv"]', "query"),
                           (FC1, 'w["mlp"]["fc1"]', "hidden"), (PROJECT, 'w["attn"]["proj"]', "attended"),
                           (NORM2, 'w["norm2"]', "norm2"),
                           (FC2, 'w["mlp"]["fc2"]', "mlp"), ("w = blocks[i]", "blocks[i]", "norm1")][rng.integers(7)]
    other = section.replace("w[", f"(blocks[{j}] if i == {i} else w)[") if section[0] == "w" else \
        f"blocks[{j} if i == {i} else i]"
    return Mistake(old, old.replace(section, other), f"layer.{i}.{first}", (f"layer {j}",))
