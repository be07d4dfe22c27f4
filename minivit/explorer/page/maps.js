// Attention as maps, and what is made of them.

const rolled = new WeakMap();

/** Where a token looks, (T,): of one head, or the mean of all. */
export function map_of(trace, layer, head, token, { T, H }) {
  const maps = trace[`layer.${layer}.attention`].data, row = (h) => maps.subarray((h * T + token) * T, (h * T + token + 1) * T);
  if (head !== "mean") return row(head);
  const mean = new Float32Array(T);
  for (let h = 0; h < H; h++) row(h).forEach((a, j) => { mean[j] += a / H; });
  return mean;
}

/** The whole matrix (T, T) of one head, or the mean of all. */
export function matrix_of(trace, layer, head, { T, H }) {
  const maps = trace[`layer.${layer}.attention`].data;
  if (head !== "mean") return maps.subarray(head * T * T, (head + 1) * T * T);
  const mean = new Float32Array(T * T);
  for (let i = 0; i < maps.length; i++) mean[i % (T * T)] += maps[i] / H;
  return mean;
}

/** Attention rollout after each layer, (T, T) each: R = rows of (mean over heads of A + I), rescaled, times R before. */
export function rollout(trace, size) {
  if (rolled.has(trace)) return rolled.get(trace);
  const { T, L } = size, flows = [];
  for (let i = 0; i < L; i++) {
    const mixed = Float64Array.from(matrix_of(trace, i, "mean", size));
    for (let t = 0; t < T; t++) {
      mixed[t * T + t] += 1;
      const sum = mixed.subarray(t * T, (t + 1) * T).reduce((a, b) => a + b, 0);
      for (let j = 0; j < T; j++) mixed[t * T + j] /= sum;
    }
    if (!i) { flows.push(mixed); continue; }
    const flow = new Float64Array(T * T), before = flows[i - 1];
    for (let t = 0; t < T; t++) for (let k = 0; k < T; k++) {
      const m = mixed[t * T + k];
      for (let j = 0; j < T; j++) flow[t * T + j] += m * before[k * T + j];
    }
    flows.push(flow);
  }
  rolled.set(trace, flows);
  return flows;
}

/** Mean distance in pixels between a patch and the patches it looks at, for each layer and head: [layer][head]. */
export function attention_distances(trace, { T, H, L, P, columns, first }) {
  const far = new Float32Array(T * T);
  for (let i = first; i < T; i++) for (let j = first; j < T; j++) {
    const [a, b] = [i - first, j - first];
    far[i * T + j] = P * Math.hypot(Math.floor(a / columns) - Math.floor(b / columns), a % columns - b % columns);
  }
  return Array.from({ length: L }, (_, i) => Array.from({ length: H }, (_, h) => {
    const maps = trace[`layer.${i}.attention`].data.subarray(h * T * T, (h + 1) * T * T);
    let sum = 0;
    for (let t = first; t < T; t++) {
      let share = 0, distance = 0;
      for (let j = first; j < T; j++) { share += maps[t * T + j]; distance += maps[t * T + j] * far[t * T + j]; }
      sum += distance / share;
    }
    return sum / (T - first);
  }));
}
