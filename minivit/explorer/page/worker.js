// The network beside the page, so that the page stays quick: {id, pixels, changes, label} in; the trace out, and then the
// gradient of the loss under that label. Only the latest question is answered.
import { backward, forward, loss_backward } from "./vit.js";
import { read_model } from "./weights.js";

let model = null;

onmessage = ({ data }) => {
  if (data.weights) { model = read_model(data.weights); return; }
  const { id, pixels, changes, label } = data, start = performance.now();
  const trace = forward(pixels, model, changes), middle = performance.now();
  postMessage({ id, trace, milliseconds: middle - start });
  const probabilities = trace.probabilities.data;
  const target = label ?? probabilities.indexOf(Math.max(...probabilities));
  const { pixels: image, stream } = backward(loss_backward(probabilities, target), trace, model, changes);
  postMessage({ id, gradient: { image, stream, label: target, dlogits: loss_backward(probabilities, target) },
                milliseconds: performance.now() - middle });
};
