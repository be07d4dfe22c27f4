// Any picture file -> the normalised pixels (H, W, 3) that the network reads, with Pillow's arithmetic: to the bit what
// minivit's model.prepare makes of the same decoded pixels by resize "crop", its centre rounded, or "stretch"; models of
// other ways are not given to the page (page_files.py). What is no picture gets one line, thrown as an Error.
import { sizes } from "./vit.js";

const MEGAPIXELS = 30;
const SIGNATURES = [["JPEG", [0xff, 0xd8, 0xff]], ["PNG", [0x89, 0x50, 0x4e, 0x47]], ["GIF", [0x47, 0x49, 0x46, 0x38]],
  ["BMP", [0x42, 0x4d]], ["WebP", [0x52, 0x49, 0x46, 0x46, , , , , 0x57, 0x45, 0x42, 0x50]],
  ["AVIF", [, , , , 0x66, 0x74, 0x79, 0x70, 0x61, 0x76, 0x69]]];

/** The file's pixels: {width, height, rgba}, upright as EXIF says. */
export async function decode(file) {
  const name = file.name || "the picture";
  if (file.size === 0) throw new Error(`${name} is empty (0 bytes): choose a picture file`);
  const head = new Uint8Array(await file.slice(0, 64).arrayBuffer());
  if (!SIGNATURES.some(([, bytes]) => bytes.every((byte, i) => head[i] === byte))) {
    const text = new TextDecoder().decode(new Uint8Array(await file.slice(0, 1024).arrayBuffer()));
    throw new Error(/<svg[\s>]/i.test(text) ? `${name} is an SVG drawing, which has no pixels: save it as PNG first`
      : `${name} is no picture that a browser can read: choose a JPEG, PNG, WebP, GIF, BMP or AVIF file`);
  }
  const image = await opened(file, name);
  const millions = image.naturalWidth * image.naturalHeight / 1e6;
  if (millions > MEGAPIXELS) {
    throw new Error(`${name} has ${Math.round(millions)} megapixels (${image.naturalWidth} × ${image.naturalHeight}): ` +
      `the explorer takes up to ${MEGAPIXELS}; scale it down first`);
  }
  try {
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    return read_pixels(bitmap);
  } catch {
    throw new Error(`${name} is damaged or cut short: get a whole copy of it`);
  }
}

async function opened(file, name) {                       // an <img> tells the size before it decodes the pixels
  const image = new Image(), url = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => { image.onload = resolve; image.onerror = reject; image.src = url; });
    return image;
  } catch {
    throw new Error(`${name} is damaged or cut short: get a whole copy of it`);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** {width, height, rgba} of an ImageBitmap, or of a video's frame. */
export function read_pixels(source) {
  const width = source.videoWidth ?? source.width, height = source.videoHeight ?? source.height;
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 255) return { width, height, rgba: unblended(source) ?? rgba };
  return { width, height, rgba };
}

// A 2-D canvas multiplies colours by their opacity and cannot undo it. Pillow's convert("RGB") keeps the colours as the
// file has them, whatever the opacity; a texture does too.
function unblended(source) {
  const { width, height } = source, gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  const rgba = new Uint8ClampedArray(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(rgba.buffer));
  return gl.getError() === gl.NO_ERROR ? rgba : null;
}

/** Resize, crop and normalise {width, height, rgba} as the model's preprocessing says: Float32Array (H, W, 3). */
export function prepare({ width, height, rgba }, { config, preprocessing }) {
  let image = { width, height, data: new Uint8Array(width * height * 3) };
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) image.data[3 * i + c] = rgba[4 * i + c];
  image = fit(image, sizes(config), preprocessing);
  const { mean, std } = preprocessing, single = Math.fround;          // in single precision, one rounding after another
  return Float32Array.from(image.data, (value, i) =>
    single(single(value / 255) - single(mean[i % 3])) / single(std[i % 3]));
}

/** The colours [0, 1] of normalised pixels, for drawing. */
export const denormalise = (pixels, { mean, std }) =>
  pixels.map((value, i) => Math.min(1, Math.max(0, value * std[i % 3] + mean[i % 3])));

function fit(image, { height, width }, { resize: way, crop_fraction, interpolation }) {
  if (way === "stretch") return resize(image, width, height, interpolation);
  const [coverH, coverW] = [height, width].map((side) => Math.floor(side / crop_fraction)), { width: w, height: h } = image;
  let newW, newH;
  if (coverH === coverW) {
    [newW, newH] = w <= h ? [coverH, Math.trunc(coverH * h / w)] : [Math.trunc(coverH * w / h), coverH];
  } else {
    const ratio = Math.min(h / coverH, w / coverW);
    [newW, newH] = [half_even(w / ratio), half_even(h / ratio)];
  }
  if (Math.max(newW, newH) > 100 * Math.max(coverH, coverW))
    throw new Error(`a picture of ${w} × ${h} pixels is too narrow to be cut to ${width} × ${height}: crop it first`);
  return crop(resize(image, newW, newH, interpolation), half_even((newW - width) / 2), half_even((newH - height) / 2),
    width, height);
}

function half_even(x) {                                                                   // as Python's round
  const below = Math.floor(x), rest = x - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

function crop(image, left, top, width, height) {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) {
    const inside = x + left >= 0 && x + left < image.width && y + top >= 0 && y + top < image.height;
    data[(y * width + x) * 3 + c] = inside ? image.data[((y + top) * image.width + x + left) * 3 + c] : 0;
  }
  return { width, height, data };
}

// ------------------------------------------------------------------- Pillow's resize (its Resample.c), 8 bits a colour
const sinc = (x) => x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
const FILTERS = {
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  bicubic: [2, (x) => (x = Math.abs(x)) < 1 ? ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1
    : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0],
  lanczos: [3, (x) => Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0],
};
const BITS = 22;                                          // of a weight's fraction: weights are whole numbers in Pillow

/** Scale an image {width, height, data (H, W, 3)}: along the rows and along the columns, rounded to 8 bits after each. */
export function resize(image, width, height, interpolation) {
  if (image.width === width && image.height === height) return image;
  if (interpolation === "nearest") return nearest(image, width, height);
  const rows_first = () => along(along(image.data, image.height, image.width, width, interpolation, 3, 3 * image.width,
    3 * width), width, image.height, height, interpolation, 3 * width, 3, 3);
  const columns_first = () => along(along(image.data, image.width, image.height, height, interpolation, 3 * image.width, 3,
    3), height, image.width, width, interpolation, 3, 3 * image.width, 3 * width);
  const lost = image.height - height;                     // Pillow 13's rule; those before it always did the rows first
  return { width, height, data: lost > 0 && lost > 2 * (image.width - width) ? columns_first() : rows_first() };
}

// `lines` lines of `from` pixels become lines of `to`; pixels of a line lie `step` apart, lines `stride` and `outStride`.
function along(data, lines, from, to, interpolation, step, stride, outStride) {
  if (from === to) return data;
  const out = new Uint8Array(data.length / from * to);
  windows(from, to, interpolation).forEach(([first, weights], x) => {
    for (let line = 0; line < lines; line++) for (let c = 0; c < 3; c++) {
      let sum = 2 ** (BITS - 1);
      for (let i = 0; i < weights.length; i++) sum += data[line * stride + (first + i) * step + c] * weights[i];
      out[line * outStride + x * step + c] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** BITS)));
    }
  });
  return out;
}

function windows(from, to, interpolation) {               // for each new pixel: the first old one, and whole weights
  const [reach, filter] = FILTERS[interpolation], scale = from / to, widened = Math.max(scale, 1);
  return Array.from({ length: to }, (_, x) => {
    const center = (x + 0.5) * scale, support = reach * widened;
    const first = Math.max(0, Math.trunc(center - support + 0.5)), last = Math.min(from, Math.trunc(center + support + 0.5));
    const weights = Array.from({ length: last - first }, (_, i) => filter((i + first - center + 0.5) * (1 / widened)));
    const total = weights.reduce((a, b) => a + b, 0) || 1;
    return [first, weights.map((w) => Math.trunc((w / total) * 2 ** BITS + (w / total < 0 ? -0.5 : 0.5)))];
  });
}

function nearest(image, width, height) {
  const data = new Uint8Array(width * height * 3), places = (from, to) => {     // summed up, as Pillow does, roundings and all
    const scale = from / to, out = [];
    for (let i = 0, at = scale * 0.5; i < to; i++, at += scale) out.push(Math.floor(at));
    return out;
  };
  const columns = places(image.width, width);
  places(image.height, height).forEach((fromY, y) => columns.forEach((fromX, x) => {
    for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = image.data[(fromY * image.width + fromX) * 3 + c];
  }));
  return { width, height, data };
}
