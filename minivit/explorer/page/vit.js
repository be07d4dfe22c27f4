// The Vision Transformer, forward and backward to the pixels, for one image: a port of minivit's Python, section by
// section under the same names. `forward` returns the trace, {name: {data, shape}}, with minivit's names and shapes.
//
//   H x W pixels   P patch side   N patches   T tokens (N + 1 with [CLS])   D width   H heads   d = D/H
//   M MLP width    L layers       K classes
//
// Arrays are flat Float32Arrays, the last axis innermost. A gradient has the name of what it belongs to, with a d in
// front. Only gradients that lead to the pixels are made: a backward function returns dx and leaves the weights alone.
import { linear, linear_backward, product, transpose } from "./linear.js";
import { erf } from "./erf.js";

/** What a reader may change in a running network; these values change nothing. */
export const UNCHANGED = { positions: true, temperature: 1, headsOff: [], layersOff: [] };

export function sizes(config) {
  const [height, width] = [config.image_size].flat().length === 2 ? config.image_size
    : [config.image_size, config.image_size].flat();
  const P = config.patch_size, rows = height / P, columns = width / P, N = rows * columns;
  const first = config.class_token ? 1 : 0;                        // the first patch's place in the sequence
  return { height, width, P, rows, columns, N, first, T: N + first, D: config.width, H: config.num_heads,
           d: config.width / config.num_heads, M: config.mlp_width, L: config.num_layers, K: config.num_classes };
}

// ---------------------------------------------------------------------------------------------- patch_embedding
/** Cut an image (H, W, 3) into flattened patches (N, P * P * 3), in raster order. */
export function patchify(x, { height, width, P, columns }, back = false) {
  const out = new Float32Array(x.length);
  for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) {
    const patch = Math.floor(row / P) * columns + Math.floor(column / P);
    const there = (patch * P * P + (row % P) * P + column % P) * 3, here = (row * width + column) * 3;
    for (let c = 0; c < 3; c++) back ? out[here + c] = x[there + c] : out[there + c] = x[here + c];
  }
  return out;
}

export const unpatchify = (patches, size) => patchify(patches, size, true);

export const patch_embedding = (patches, params) => linear(patches, params.patch_embed.proj);               // (N, D)

export const patch_embedding_backward = (dy, params, size) =>                                          // (H, W, 3)
  unpatchify(linear_backward(dy, params.patch_embed.proj), size);

// ---------------------------------------------------------------------------------------------------- cls_token
export const cls_token = (x, params) =>                                                                     // (T, D)
  params.cls_token ? Float32Array.of(...params.cls_token, ...x) : x;

export const cls_token_backward = (dy, params) => params.cls_token ? dy.slice(params.cls_token.length) : dy;

// ------------------------------------------------------------------------------------------- position_embedding
/** The table that is added to the tokens, (T, D), or null for a model without. */
export function position_table(params, config) {
  if (config.position === "learned") return params.pos_embed;
  if (config.position === "none") return null;
  const { columns, N, T, D, first } = sizes(config), table = new Float32Array(T * D), quarter = D / 4;      // sincos2d
  for (let n = 0; n < N; n++) for (let k = 0; k < quarter; k++) {
    const across = (n % columns) * 10000 ** -(k / quarter), down = Math.floor(n / columns) * 10000 ** -(k / quarter);
    [Math.sin(across), Math.cos(across), Math.sin(down), Math.cos(down)]
      .forEach((value, q) => { table[(n + first) * D + q * quarter + k] = value; });
  }
  return table;
}

export function position_embedding(x, params, config) {                                    // its gradient: dx = dy
  const table = position_table(params, config);
  return table ? add(x, table) : x;
}

// --------------------------------------------------------------------------------------------------- layer_norm
/** y = weight (x - mean) / sqrt(variance + eps) + bias, over the D features of each token. */
export function layer_norm(x, { weight, bias }, eps) {
  const D = weight.length, y = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += D) {
    const [mean, inverseStd] = moments(x, at, D, eps);
    for (let j = 0; j < D; j++) y[at + j] = (x[at + j] - mean) * inverseStd * weight[j] + bias[j];
  }
  return y;
}

/** dx = (g - mean(g) - xhat mean(xhat g)) / sqrt(variance + eps), with g = weight dy. */
export function layer_norm_backward(dy, x, { weight }, eps) {
  const D = weight.length, dx = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += D) {
    const [mean, inverseStd] = moments(x, at, D, eps);
    let shift = 0, scale = 0;
    for (let j = 0; j < D; j++) {
      const g = weight[j] * dy[at + j];
      shift += g / D;
      scale += g * (x[at + j] - mean) * inverseStd / D;
    }
    for (let j = 0; j < D; j++)
      dx[at + j] = (weight[j] * dy[at + j] - shift - (x[at + j] - mean) * inverseStd * scale) * inverseStd;
  }
  return dx;
}

function moments(x, at, D, eps) {
  let mean = 0, variance = 0;
  for (let j = 0; j < D; j++) mean += x[at + j] / D;
  for (let j = 0; j < D; j++) variance += (x[at + j] - mean) ** 2 / D;
  return [mean, 1 / Math.sqrt(variance + eps)];
}

// ------------------------------------------------------------------------------------------------------ softmax
/** Rows of n scores become weights that sum to one: exp(s - max s) / sum. */
export function softmax(scores, n) {
  const weights = new Float32Array(scores.length), e = new Float64Array(n);
  for (let at = 0; at < scores.length; at += n) {
    let max = -Infinity, sum = 0;
    for (let j = 0; j < n; j++) max = Math.max(max, scores[at + j]);
    for (let j = 0; j < n; j++) sum += e[j] = Math.exp(scores[at + j] - max);
    for (let j = 0; j < n; j++) weights[at + j] = e[j] / sum;
  }
  return weights;
}

/** ds = a (da - sum of a da), row by row. */
export function softmax_backward(da, a, n) {
  const ds = new Float32Array(a.length);
  for (let at = 0; at < a.length; at += n) {
    let shared = 0;
    for (let j = 0; j < n; j++) shared += a[at + j] * da[at + j];
    for (let j = 0; j < n; j++) ds[at + j] = a[at + j] * (da[at + j] - shared);
  }
  return ds;
}

// ---------------------------------------------------------------------------------------------------- attention
/** Multi-head self-attention of x (T, D). Returns every step, and y = `attended` (T, D). */
export function attention(x, params, { T, D, H, d }, { temperature, off }) {
  const qkv = linear(x, params.qkv);                                                                       // (T, 3D)
  const [query, key, value] = [0, 1, 2].map((part) => split_heads(qkv, part, T, H, d));                 // (H, T, d)
  const scores = by_head(H, T * T, (h) => product(head_of(query, h), head_of(key, h), T, T, d));        // (H, T, T)
  for (let i = 0; i < scores.length; i++) scores[i] /= Math.sqrt(d) * temperature;
  const weights = softmax(scores, T);                                                                   // (H, T, T)
  const heads = by_head(H, T * d, (h) => off.has(h) ? new Float32Array(T * d)
    : product(head_of(weights, h), transpose(head_of(value, h), T, d), T, d, T));                       // (H, T, d)
  const attended = linear(merge_heads(heads, T, H, d), params.proj);                                        // (T, D)
  return { query, key, value, scores, attention: weights, heads, attended };

  function head_of(a, h) { return a.subarray(h * a.length / H, (h + 1) * a.length / H); }
}

/** dx (T, D) from dy (T, D) and forward's steps: each line undoes one of forward's. */
export function attention_backward(dy, params, steps, { T, D, H, d }, { temperature, off }) {
  const dqkv = new Float32Array(T * 3 * D), dmerged = linear_backward(dy, params.proj);                 // (T, D)
  const dheads = split_heads(dmerged, 0, T, H, d);                                                      // (H, T, d)
  for (let h = 0; h < H; h++) {
    if (off.has(h)) continue;
    const of = (name, n) => steps[name].subarray(h * T * n, (h + 1) * T * n);
    const q = of("query", d), k = of("key", d), v = of("value", d), a = of("attention", T);
    const dhead = dheads.subarray(h * T * d, (h + 1) * T * d);                                              // (T, d)
    const dv = product(transpose(a, T, T), transpose(dhead, T, d), T, d, T);                         // heads = A v
    const ds = softmax_backward(product(dhead, v, T, T, d), a, T);                                // A = softmax(S)
    for (let i = 0; i < ds.length; i++) ds[i] /= Math.sqrt(d) * temperature;                    // S = q k^T / √d
    const dq = product(ds, transpose(k, T, d), T, d, T), dk = product(transpose(ds, T, T), transpose(q, T, d), T, d, T);
    [dq, dk, dv].forEach((part, p) => {
      for (let t = 0; t < T; t++) dqkv.set(part.subarray(t * d, (t + 1) * d), t * 3 * D + p * D + h * d);
    });
  }
  return linear_backward(dqkv, params.qkv);
}

function split_heads(x, part, T, H, d) {                             // (T, parts * D) -> one part as (H, T, d)
  const out = new Float32Array(T * H * d), stride = x.length / T;
  for (let h = 0; h < H; h++) for (let t = 0; t < T; t++)
    out.set(x.subarray(t * stride + (part * H + h) * d, t * stride + (part * H + h + 1) * d), (h * T + t) * d);
  return out;
}

function merge_heads(heads, T, H, d) {                               // (H, T, d) -> (T, D), the heads side by side
  const out = new Float32Array(T * H * d);
  for (let h = 0; h < H; h++) for (let t = 0; t < T; t++)
    out.set(heads.subarray((h * T + t) * d, (h * T + t + 1) * d), (t * H + h) * d);
  return out;
}

function by_head(H, length, work) {
  const out = new Float32Array(H * length);
  for (let h = 0; h < H; h++) out.set(work(h), h * length);
  return out;
}

// --------------------------------------------------------------------------------------------------- gelu, mlp
const TANH_SCALE = Math.sqrt(2 / Math.PI), TANH_CUBIC = 0.044715;

/** x Φ(x) with Φ by erf, or the tanh form. */
export const gelu = (x, form) => x.map(form === "erf" ? (v) => v * (1 + erf(v * Math.SQRT1_2)) / 2
  : (v) => v * (1 + Math.tanh(TANH_SCALE * (v + TANH_CUBIC * v ** 3))) / 2);

export const gelu_backward = (dy, x, form) => dy.map((g, i) => {
  const v = x[i];
  if (form === "erf") return g * ((1 + erf(v * Math.SQRT1_2)) / 2 + v * Math.exp(-v * v / 2) / Math.sqrt(2 * Math.PI));
  const t = Math.tanh(TANH_SCALE * (v + TANH_CUBIC * v ** 3));
  return g * ((1 + t) / 2 + v * (1 - t * t) * TANH_SCALE * (1 + 3 * TANH_CUBIC * v * v) / 2);
});

export function mlp(x, params, form) {
  const hidden = gelu(linear(x, params.fc1), form);                                                         // (T, M)
  return { hidden, mlp: linear(hidden, params.fc2) };                                                       // (T, D)
}

export const mlp_backward = (dy, x, params, form) =>
  linear_backward(gelu_backward(linear_backward(dy, params.fc2), linear(x, params.fc1), form), params.fc1);

// -------------------------------------------------------------------------------------------------------- layer
/** z' = z + MSA(LN(z)), z = z' + MLP(LN(z')). x: (T, D). Returns every step; `output` goes on to the next layer. */
export function layer(x, params, config, size, change) {
  const norm1 = layer_norm(x, params.norm1, config.layer_norm_eps);
  const { heads, ...steps } = attention(norm1, params.attn, size, change);
  if (change.skip) steps.attended.fill(0);
  const residual1 = add(x, steps.attended);
  const norm2 = layer_norm(residual1, params.norm2, config.layer_norm_eps);
  const branch = mlp(norm2, params.mlp, config.gelu);
  if (change.skip) branch.mlp.fill(0);
  return { norm1, ...steps, residual1, norm2, ...branch, output: add(residual1, branch.mlp) };
}

/** dx (T, D). A sum hands its gradient to both summands: each residual adds dy to what its branch returns. */
export function layer_backward(dy, x, params, config, size, steps, change) {
  if (change.skip) return dy;
  const eps = config.layer_norm_eps;
  const dnorm2 = mlp_backward(dy, steps.norm2, params.mlp, config.gelu);
  const dresidual1 = add(dy, layer_norm_backward(dnorm2, steps.residual1, params.norm2, eps));
  const dnorm1 = attention_backward(dresidual1, params.attn, steps, size, change);
  return add(dresidual1, layer_norm_backward(dnorm1, x, params.norm1, eps));
}

const add = (a, b) => a.map((value, i) => value + b[i]);

// --------------------------------------------------------------------------------------------------------- head
const final_norm = (params, config) => config.pool === "cls" ? params.norm : params.fc_norm;

/** z (T, D) -> final norm, representation (D,), logits (K,): from [CLS], or from the mean of the patches. */
export function head(z, params, config, size) {
  const norm = layer_norm(pooled(z, config, size), final_norm(params, config), config.layer_norm_eps);
  const representation = norm.slice(0, size.D);
  return { norm, representation, logits: params.head ? linear(representation, params.head) : null };
}

export function head_backward(dlogits, z, params, config, size) {
  const { D, N, first } = size, dz = new Float32Array(z.length), x = pooled(z, config, size).slice(0, D);
  const dnorm = params.head ? linear_backward(dlogits, params.head) : dlogits;
  const dpooled = layer_norm_backward(dnorm, x, final_norm(params, config), config.layer_norm_eps);
  if (config.pool === "cls") dz.set(dpooled);
  else for (let i = first * D; i < dz.length; i++) dz[i] = dpooled[i % D] / N;
  return dz;
}

function pooled(z, config, { D, N, first }) {             // "cls": all tokens, of which the head reads the first
  if (config.pool === "cls") return z;
  const mean = new Float64Array(D);
  for (let i = first * D; i < z.length; i++) mean[i % D] += z[i] / N;
  return Float32Array.from(mean);
}

// ---------------------------------------------------------------------------------------------------------- vit
/** The trace of prepared pixels (H, W, 3): every step from pixels to probabilities, in order. */
export function forward(pixels, { params, config }, changes = UNCHANGED) {
  const size = sizes(config), { height, width, N, T, D, H, d, M, L, K, P } = size, trace = {};
  const keep = (name, data, ...shape) => { trace[name] = { data, shape: [1, ...shape] }; return data; };
  keep("pixels", pixels, height, width, 3);
  const patches = keep("patches", patchify(pixels, size), N, P * P * 3);
  const embedding = keep("patch_embedding", patch_embedding(patches, params), N, D);
  const tokens = keep("tokens", cls_token(embedding, params), T, D);
  let z = keep("embedded", changes.positions ? position_embedding(tokens, params, config) : tokens, T, D);
  const shapes = { query: [H, T, d], key: [H, T, d], value: [H, T, d], scores: [H, T, T], attention: [H, T, T],
                   hidden: [T, M] };
  for (let i = 0; i < L; i++) {
    const steps = layer(z, params.blocks[i], config, size, change_of(changes, i));
    for (const [name, data] of Object.entries(steps)) keep(`layer.${i}.${name}`, data, ...shapes[name] ?? [T, D]);
    z = steps.output;
  }
  const { norm, representation, logits } = head(z, params, config, size);
  keep("norm", norm, ...norm.length === D && config.pool !== "cls" ? [D] : [T, D]);
  keep("representation", representation, D);
  if (logits) {
    keep("logits", logits, K);
    keep("probabilities", softmax(logits, K), K);
  }
  return trace;
}

/** From dL/dlogits (K,): dL/dpixels (H, W, 3), and dL/dz (T, D) at each of the L + 1 depths of the stream. */
export function backward(dlogits, trace, { params, config }, changes = UNCHANGED) {
  const size = sizes(config), stream = (i) => i ? trace[`layer.${i - 1}.output`].data : trace.embedded.data;
  const dstream = [head_backward(dlogits, stream(size.L), params, config, size)];
  for (let i = size.L - 1; i >= 0; i--) {
    const steps = new Proxy({}, { get: (_, name) => trace[`layer.${i}.${name}`].data });
    dstream.unshift(layer_backward(dstream[0], stream(i), params.blocks[i], config, size, steps, change_of(changes, i)));
  }
  const dpatches = cls_token_backward(dstream[0], params);
  return { pixels: patch_embedding_backward(dpatches, params, size), stream: dstream };
}

/** dL/dlogits of the cross-entropy loss -log p[label]: predicted minus wanted. */
export const loss_backward = (probabilities, label) => probabilities.map((p, k) => p - (k === label ? 1 : 0));

const change_of = ({ temperature, headsOff, layersOff }, i) => ({
  temperature, skip: layersOff.includes(i),
  off: new Set(headsOff.filter((name) => name.startsWith(`${i}.`)).map((name) => Number(name.split(".")[1]))) });
