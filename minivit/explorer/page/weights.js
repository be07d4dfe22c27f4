// Weights: a .safetensors file as `minivit.save` writes it, under timm's names, with the config in its metadata.
// Numbers are F32, F16, or I8 with a scale for each row ("NAME.scale", F32): w[i, j] = scale[i] q[i, j].
import { sizes } from "./vit.js";

/** {config, preprocessing, labels, name, params, bytes} of an ArrayBuffer. params: nested under timm's names. */
export function read_model(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const model = JSON.parse(__metadata__.minivit), tensors = {};
  for (const [name, entry] of Object.entries(entries)) tensors[name] = decode(buffer, 8 + length, entry);
  for (const [name, scale] of Object.entries(tensors)) {
    if (!name.endsWith(".scale")) continue;
    const weight = tensors[name.slice(0, -".scale".length)], columns = weight.length / scale.length;
    for (let i = 0; i < weight.length; i++) weight[i] *= scale[Math.floor(i / columns)];
    delete tensors[name];
  }
  const params = nested(tensors), { P, D } = sizes(model.config);
  params.patch_embed.proj.weight = colours_last(params.patch_embed.proj.weight, D, P);
  return { ...model, params, bytes: buffer.byteLength, dtype: entries["head.weight"]?.dtype ?? "F32" };
}

function decode(buffer, start, { dtype, data_offsets: [from, to] }) {
  const bytes = buffer.slice(start + from, start + to);
  if (dtype === "F32") return new Float32Array(bytes);
  if (dtype === "I8") return Float32Array.from(new Int8Array(bytes));
  if (dtype === "F16") return Float32Array.from(new Uint16Array(bytes), half);
  throw new Error(`weights are F32, F16 or I8, found ${dtype}`);
}

function half(bits) {                                        // 1 bit sign, 5 exponent, 10 fraction
  const sign = bits >> 15 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function nested(tensors) {                                   // {"blocks.0.norm1.bias": …} -> params.blocks[0].norm1.bias
  const params = {};
  for (const [name, data] of Object.entries(tensors)) {
    const keys = name.split("."), last = keys.pop();
    let place = params;
    keys.forEach((key, i) => { place = place[key] ??= /^\d+$/.test(keys[i + 1]) ? [] : {}; });
    place[last] = data;
  }
  return params;
}

function colours_last(kernel, D, P) {                        // timm's (D, 3, P, P) -> (D, P * P * 3), as patches are
  const out = new Float32Array(kernel.length);
  for (let o = 0; o < D; o++) for (let c = 0; c < 3; c++) for (let p = 0; p < P * P; p++)
    out[(o * P * P + p) * 3 + c] = kernel[(o * 3 + c) * P * P + p];
  return out;
}
