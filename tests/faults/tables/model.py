"""Faults in the model as a whole: its config, the pass through all layers, its answers, its trace."""

from ..fault import Fault as F

FAULTS = [
    # config
    F("the default eps is 1e-5", "config", "layer_norm_eps: float = 1e-06", "layer_norm_eps: float = 1e-05"),
    F("the default GELU is tanh", "config", "gelu: str = 'erf'", "gelu: str = 'tanh'"),
    F("final norm not counted", "counting", "norm * (1 + config.norm_pre)", "norm * config.norm_pre"),
    F("q kᵀ counted, A v not", "counting", "2 * T * T * D", "T * T * D"),
    F("[CLS] always counted among the tokens", "config", "self.class_token + _1 + _2",
      "1 + _1 + _2", within="ViTConfig.num_prefix"),
    F("rows and columns of the grid swapped", "config", "return _1 // self.patch_size, _2 // self.patch_size",
      "return _2 // self.patch_size, _1 // self.patch_size"),
    F("heads need not divide the width", "config", "self.width % self.num_heads", "False"),
    F("an eps of zero", "config", "real('layer_norm_eps', self.layer_norm_eps, *EPS)", "self.layer_norm_eps"),
    F("B/16 has eight heads", "variants", "(16, 768, 12, 3072, 12)", "(16, 768, 12, 3072, 8)"),
    # model
    F("the loss is the mean of chunks", "model", "_1 / len(x)", "1.0 / len(threads.split(x))"),
    F("pixels keep their own precision", "model", "_1.astype(self.dtype, copy=False)", "_1", within="prepare"),
    F("another size is let through", "model", "_1.ndim != 4 or _2", "False"),
    F("with_params forgets the preprocessing", "model", "preprocessing = self.preprocessing", "preprocessing = None",
      tests="tests/checking/test_pixel_recipes.py::test_colours_turned_under_their_own_means"),
    F("with_params forgets the labels", "model", "labels = self.labels", "labels = None",
      tests="tests/training/test_training.py::test_the_start_is_not_changed"),
    F("labels of another number", "model", "self.labels is not None and _1", "False"),
    # prediction
    F("the least likely first", "prediction", "np.argsort(-_1, ...)", "np.argsort(_1, ...)"),
    F("one image's attention keeps a batch axis", "prediction", "[_1[0] for _1 in maps]", "maps"),
    F("a member of a batch is the first", "prediction",
      "Prediction(self.model, self.x[_1:_2], self._logits[_1:_2], is_batch=False)",
      "Prediction(self.model, self.x[_1:_2], self._logits[:1], is_batch=False)"),
    F("a label's name is not looked up", "prediction", "known.index(one)", "0"),
    F("the loss's gradient of ones", "prediction", "loss.backward(_1)", "loss.backward(_1) * 0 + 1"),
    F("a model without head answers", "prediction", "not model.config.num_classes", "False"),
    F("another number of labels", "prediction", "len(labels) != B", "False"),
    # trace
    F("the traced MLP reads the stream before its norm", "tracing", "linear.forward(s['norm2'], _1)",
      "linear.forward(s['residual1'], _1)"),
    F("the trace reads out the last token", "tracing_choices", "normed[:, 0]", "normed[:, -1]"),
    F("the trace's scores are not scaled", "tracing_choices", "attention.scores(query, key)",
      "query @ key.swapaxes(-1, -2)"),
    F("what another network has made is not read", "tracing", "(given or {}).get(prefix + name, array)", "array"),
    # trees
    F("names of the tree without their place", "trees", "_1[:-1]", "_1"),
    F("labels need not be texts", "model", "[name for name in names if not isinstance(name, str)] if _1 else _2", "[]"),
]
