"""The residual stream measured: how long its vectors are, what each half-layer adds, how much a layer turns them."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, styled


def stream(trace):
    """The tokens before the first layer and after each: a list of L + 1 arrays (B, T, D)."""
    return [trace["norm_pre" if "norm_pre" in trace else "embedded"], *_of_each_layer(trace, "output")]


def norms(trace, tokens=slice(None)):
    """{"stream": (L + 1,), "attention": (L,), "MLP": (L,)}: the mean length of a token's vector after each layer,
    and of what each layer's attention and MLP add to it. tokens: which, such as slice(0, 1) for [CLS].
    """
    def length(array):
        return float(np.linalg.norm(array[:, tokens], axis=-1).mean())

    return {"stream": np.array([length(z) for z in stream(trace)]),
            "attention": np.array([length(a) for a in added(trace, "attended")]),
            "MLP": np.array([length(a) for a in added(trace, "mlp")])}


def added(trace, branch):
    """What a branch of each layer adds to the stream, first layer first; LayerScale has scaled it where there is one.

    branch: "attended" or "mlp".
    """
    return _of_each_layer(trace, f"{branch}_scaled" if f"layer.0.{branch}_scaled" in trace else branch)


def layer_similarity(trace, tokens=slice(None)):
    """(L + 1, L + 1): the cosine between a token's vectors at two depths, mean over these tokens and all images."""
    directions = [z[:, tokens] / np.linalg.norm(z[:, tokens], axis=-1, keepdims=True) for z in stream(trace)]
    return np.array([[float((a * b).sum(axis=-1).mean()) for b in directions] for a in directions])


def token_similarity(z):
    """How alike the tokens of an image are: the cosine of two different ones, mean over all pairs and images (B, T, D).

    1 means that all of them point the same way, whatever patch they came from.
    """
    directions = z / np.linalg.norm(z, axis=-1, keepdims=True)
    T = z.shape[1]
    total = np.square(directions.sum(axis=1)).sum(axis=-1).mean()       # Σᵢⱼ cos(i, j), with T ones from i = j
    return float((total - T) / (T * (T - 1)))


@styled
def norms_figure(panels):
    """Lengths over depth, one panel a kind of token. panels: {title: what `norms` returns}. Returns a figure."""
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.3), squeeze=False, sharey=True)
    for ax, (title, lengths) in zip(axes[0], panels.items()):
        L = len(lengths["attention"])
        ax.plot(range(L + 1), lengths["stream"], "o-", color=COLOURS[0], label="residual stream")
        ax.bar(np.arange(L) + 0.35, lengths["attention"], 0.28, color=COLOURS[1], label="added by attention")
        ax.bar(np.arange(L) + 0.67, lengths["MLP"], 0.28, color=COLOURS[2], label="added by the MLP")
        ax.set(title=title, xlabel="depth (layers passed)", xticks=range(L + 1), ylim=(0, None))
        ax.legend(loc="upper left")
    axes[0, 0].set_ylabel("mean length of the vectors")
    return figure


@styled
def layer_similarity_figure(panels):
    """Matrices from `layer_similarity` side by side. panels: {title: (L + 1, L + 1)}. Returns a figure."""
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 4.2), squeeze=False)
    for ax, (title, similarity) in zip(axes[0], panels.items()):
        mesh = ax.imshow(similarity, vmin=min(0.0, similarity.min()), vmax=1)
        for i, j in np.ndindex(similarity.shape):
            dark = similarity[i, j] < 0.6
            ax.text(j, i, f"{similarity[i, j]:.2f}", ha="center", va="center", fontsize=8.5,
                    color="white" if dark else "black")
        ax.set(title=title, xlabel="depth (layers passed)", ylabel="depth (layers passed)")
        figure.colorbar(mesh, ax=ax, label="mean cosine", shrink=0.85)
    return figure


def _of_each_layer(trace, name):
    """The arrays of one step, first layer first."""
    L = sum(key.endswith(".output") for key in trace)
    return [trace[f"layer.{i}.{name}"] for i in range(L)]
