"""A plain port of the relatives: one file, NumPy alone, and its steps under our names.

As `plain_port`, whose `run` executes it: a test can change a line of the text. Nothing of minivit's is used but names.
"""

TEXT = '''
def layer_norm(x, w):
    xhat = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    return xhat * w["weight"] + w["bias"]

def gelu(h):
    if config.gelu == "quick":
        return h / (1 + np.exp(-1.702 * h))
    return 0.5 * h * (1 + erf(h / math.sqrt(2)))

def silu(h):
    return h / (1 + np.exp(-h))

def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

def linear(x, w):
    return x @ w["weight"] + w.get("bias", 0)

def heads(x):
    return x.reshape(B, x.shape[1], H, d).transpose(0, 2, 1, 3)

def token(name):
    return np.repeat(params[name], B, axis=0) if name in params else np.zeros((B, 0, D))

def forward(x):
    steps["pixels"] = x
    patches = x.reshape(B, rows, P, columns, P, 3).transpose(0, 1, 3, 2, 4, 5).reshape(B, N, P * P * 3)
    steps["patches"] = patches
    z = linear(patches, params["patch_embed"]["proj"])
    steps["patch_embedding"] = z
    cls, dist, reg = token("cls_token"), token("dist_token"), token("reg_token")
    z = np.concatenate([cls, dist, reg, z], axis=1)
    steps["tokens"] = z
    E = params["pos_embed"]
    own = E.shape[1] - N
    place = np.concatenate([E[:, :own], np.zeros((1, T - E.shape[1], D)), E[:, own:]], axis=1)
    z = z + place
    steps["embedded"] = z
    if "norm_pre" in params:
        z = layer_norm(z, params["norm_pre"])
        steps["norm_pre"] = z
    for i in range(L):
        w = blocks[i]
        y = layer_norm(z, w["norm1"])
        steps[f"layer.{i}.norm1"] = y
        q, k, v = (heads(part) for part in np.split(linear(y, w["attn"]["qkv"]), 3, axis=-1))
        steps[f"layer.{i}.query"], steps[f"layer.{i}.key"], steps[f"layer.{i}.value"] = q, k, v
        s = q @ k.transpose(0, 1, 3, 2) / math.sqrt(d)
        steps[f"layer.{i}.scores"] = s
        a = softmax(s)
        steps[f"layer.{i}.attention"] = a
        o = linear((a @ v).transpose(0, 2, 1, 3).reshape(B, T, D), w["attn"]["proj"])
        steps[f"layer.{i}.attended"] = o
        if "ls1" in w:
            o = o * w["ls1"]["gamma"]
            steps[f"layer.{i}.attended_scaled"] = o
        r = z + o
        steps[f"layer.{i}.residual1"] = r
        n = layer_norm(r, w["norm2"])
        steps[f"layer.{i}.norm2"] = n
        h = linear(n, w["mlp"]["fc1"])
        if config.gated_mlp:
            one, two = np.split(h, 2, axis=-1)
            h = silu(one) * two
        else:
            h = gelu(h)
        steps[f"layer.{i}.hidden"] = h
        m = linear(h, w["mlp"]["fc2"])
        steps[f"layer.{i}.mlp"] = m
        if "ls2" in w:
            m = m * w["ls2"]["gamma"]
            steps[f"layer.{i}.mlp_scaled"] = m
        z = r + m
        steps[f"layer.{i}.output"] = z
    if config.pool == "mean":
        z = z[:, T - N:].mean(axis=1)
    z = layer_norm(z, params.get("norm", params.get("fc_norm")))
    steps["norm"] = z
    if config.pool == "map":
        c = pooled(z[:, T - N:], params["attn_pool"])
    elif config.pool == "normed_mean":
        c = z[:, T - N:].mean(axis=1)
    elif config.pool == "mean":
        c = z
    else:
        c = z[:, :2] if config.pool == "distilled" else z[:, 0]
    steps["representation"] = c
    if config.pool == "distilled":
        one, two = linear(c[:, 0], params["head"]), linear(c[:, 1], params["head_dist"])
        steps["logits_cls"], steps["logits_dist"] = one, two
        logits = (one + two) / 2
    else:
        logits = linear(c, params["head"])
    steps["logits"] = logits
    steps["probabilities"] = softmax(logits)

def pooled(z, w):
    latent = np.repeat(w["latent"], B, axis=0)
    q = heads(linear(latent, w["q"]))
    k, v = (heads(part) for part in np.split(linear(z, w["kv"]), 2, axis=-1))
    steps["pool.query"], steps["pool.key"], steps["pool.value"] = q, k, v
    s = q @ k.transpose(0, 1, 3, 2) / math.sqrt(d)
    steps["pool.scores"] = s
    a = softmax(s)
    steps["pool.attention"] = a
    o = linear((a @ v).transpose(0, 2, 1, 3).reshape(B, 1, D), w["proj"])
    steps["pool.attended"] = o
    n = layer_norm(o, w["norm"])
    steps["pool.norm"] = n
    h = gelu(linear(n, w["mlp"]["fc1"]))
    steps["pool.hidden"] = h
    m = linear(h, w["mlp"]["fc2"])
    steps["pool.mlp"] = m
    p = o + m
    return p[:, 0]
'''
