// The matrix product of linear.js on four numbers at a time, as WebAssembly, which browsers run near the speed of the
// processor: eight sums of four lanes each. A module is a few hundred bytes, so it is put together here, opcode by
// opcode (webassembly.github.io/spec, binary format); there is no compiler to install and no file to trust.
const get = (local) => [0x20, local], set = (local) => [0x21, local], end = 0x0b;
const add = 0x6a, less = 0x49, loop = [0x03, 0x40], again_if = [0x0d, 0];           // i32.add, i32.lt_u
const vector = { load: [0xfd, 0x00, 2, 0], zero: [0xfd, 0x0c, ...Array(16).fill(0)], add: [0xfd, 0xe4, 1],
                 mul: [0xfd, 0xe6, 1], lane: (i) => [0xfd, 0x1f, i] };
const float = { add: 0x92, store: [0x38, 2, 0] }, i32 = 0x7f, v128 = 0x7b;
const number = (value) => {                                                       // LEB128, of a positive whole number
  const bytes = [];
  for (; value > 63; value >>>= 7) bytes.push(value & 127 | 128);
  return [...bytes, value];
};
const constant = (value) => [0x41, ...number(value)];
const section = (id, ...content) => { const bytes = content.flat(9); return [id, ...number(bytes.length), ...bytes]; };

// kernel(a, aEnd, b, bEnd, out, stride, outStride): places in bytes. Rows come in fours, columns in twos, the length
// of a row in fours: whoever calls pads with zeros.
const [a, aEnd, b, bEnd, out, stride, outStride, column, o, p, q, rowEnd] = Array(12).keys(), u = 12, v = 13, SUMS = 14;
const move = (local, ...by) => [get(local), by.map((step) => [step, add]), set(local)].flat(9);
const below = (base, step, count) => [get(base), Array(count).fill([get(step), add])];    // the place `count` rows on
const sum_at = (row, side) => SUMS + 2 * row + side, ROWS = [0, 1, 2, 3], SIDES = [0, 1];
const each = (make) => ROWS.map((row) => SIDES.map((side) => make(row, side)));

const body = [
  loop,                                                                                       // four rows of a
    get(b), set(column), get(out), set(o),
    loop,                                                                                     // two rows of b
      each((row, side) => [vector.zero, set(sum_at(row, side))]),
      get(a), set(p), get(column), set(q), get(a), get(stride), add, set(rowEnd),
      loop,                                                                                   // four numbers of each
        get(q), vector.load, set(u), below(q, stride, 1), vector.load, set(v),
        each((row, side) => [get(sum_at(row, side)), below(p, stride, row), vector.load, get(side ? v : u), vector.mul,
                             vector.add, set(sum_at(row, side))]),
        move(q, constant(16)), move(p, constant(16)), get(p), get(rowEnd), less, again_if,
      end,
      each((row, side) => [below(o, outStride, row), side ? [constant(4), add] : [],
                           [0, 1, 2, 3].map((i) => [get(sum_at(row, side)), vector.lane(i), i ? float.add : []]),
                           float.store]),
      move(column, get(stride), get(stride)), move(o, constant(8)), get(column), get(bEnd), less, again_if,
    end,
    move(a, ...ROWS.map(() => get(stride))), move(out, ...ROWS.map(() => get(outStride))),
    get(a), get(aEnd), less, again_if,
  end, end].flat(9);

const MODULE = Uint8Array.from([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,                                                                     // "\0asm", 1
  section(1, 1, 0x60, 7, Array(7).fill(i32), 0),                                   // a function of seven i32
  section(2, 1, 1, 0x6d, 1, 0x6d, 2, 0, 1),                                        // that imports a memory, m.m
  section(3, 1, 0),
  section(7, 1, 1, 0x6b, 0, 0),                                                    // and is exported as k
  section(10, 1, number(body.length + 5), 2, 5, i32, 10, v128, body),
].flat(9));

/** A function with the arguments of `product` in linear.js, or null where the browser has no such instructions. */
export function make_kernel() {
  if (!globalThis.WebAssembly?.validate(MODULE)) return null;
  const memory = new WebAssembly.Memory({ initial: 16 });
  const { k: kernel } = new WebAssembly.Instance(new WebAssembly.Module(MODULE), { m: { m: memory } }).exports;
  const up = (value, step) => Math.ceil(value / step) * step;

  return function product(a, b, n, m, k, bias = null) {
    const K = up(k, 4), M = up(m, 2), aSize = up(n, 4) * K, bSize = M * K, size = aSize + bSize + up(n, 4) * M;
    if (memory.buffer.byteLength < 4 * size) memory.grow(Math.ceil((4 * size - memory.buffer.byteLength) / 65536));
    const numbers = new Float32Array(memory.buffer);
    place(numbers, a, n, k, K, 0);
    place(numbers, b, m, k, K, aSize);
    kernel(0, 4 * aSize, 4 * aSize, 4 * (aSize + bSize), 4 * (aSize + bSize), 4 * K, 4 * M);
    const out = new Float32Array(n * m);
    for (let i = 0, from = aSize + bSize; i < n; i++, from += M) out.set(numbers.subarray(from, from + m), i * m);
    if (bias) for (let i = 0; i < out.length; i++) out[i] += bias[i % m];
    return out;
  };
}

function place(numbers, rows, count, k, K, at) {
  if (k === K) return numbers.set(rows, at);
  for (let i = 0; i < count; i++) {
    numbers.set(rows.subarray(i * k, (i + 1) * k), at + i * K);
    numbers.fill(0, at + i * K + k, at + (i + 1) * K);
  }
}
