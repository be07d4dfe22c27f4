// Linear layer: the matrix product that every section is built from. y = x W^T + b.
// Weights are (out, in), as timm has them: a row a unit.
import { make_kernel } from "./kernel.js";

/** out[i, j] = bias[j] + sum over k of a[i, k] b[j, k]: the rows of a (n, k) against the rows of b (m, k). */
export const product = make_kernel() ?? plain_product;

/** The same in plain JavaScript, in double precision: for browsers without the kernel, and to check it by. */
export function plain_product(a, b, n, m, k, bias = null) {
  const out = new Float32Array(n * m);
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) {
    let sum = bias ? bias[j] : 0;
    for (let p = 0; p < k; p++) sum += a[i * k + p] * b[j * k + p];
    out[i * m + j] = sum;
  }
  return out;
}

/** (rows, columns) -> (columns, rows). */
export function transpose(a, rows, columns) {
  const out = new Float32Array(a.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = a[i * columns + j];
  return out;
}

/** y (rows, out) of x (rows, in). */
export function linear(x, { weight, bias }) {
  const m = bias.length, k = weight.length / m;
  return product(x, weight, x.length / k, m, k, bias);
}

/** dx = dy W (rows, in). The transposed weights are made once and stay with the weights. */
export function linear_backward(dy, params) {
  const m = params.bias.length, k = params.weight.length / m;
  params.transposed ??= transpose(params.weight, m, k);
  return product(dy, params.transposed, dy.length / m, k, m);
}
