"""ViT-B/16 at full size beside timm's and torchvision's, in float64 with peaked attention: every number to 1e-12.

torch is imported inside the tests, so that they fail, and are not skipped, where `make parity` runs without it.
"""

import numpy as np
import pytest
from peaked import peakedness

import minivit
from minivit import loss

pytestmark = pytest.mark.parity


def channels_last(images):
    """torch's (B, 3, H, W) as NumPy's (B, H, W, 3)."""
    return np.ascontiguousarray(images.detach().numpy().transpose(0, 2, 3, 1))


def arrays(tensors):
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


@pytest.mark.parametrize("options", [{}, {"img_size": (192, 256), "global_pool": "avg"}],
                         ids=["224 px, [CLS]", "192 x 256 px, mean"])
def test_timm(options, differences):
    import torch
    from timm_steps import VisionTransformer, peak, run
    reference = peak(VisionTransformer(**options), seed=1, query_key_std=1.7).eval().double()
    generator = torch.Generator().manual_seed(2)
    height, width = options.get("img_size", (224, 224))
    images = torch.randn(2, 3, height, width, generator=generator).double().requires_grad_()
    logits, steps = run(reference, images)
    dlogits = torch.randn(logits.shape, generator=generator).double()
    (logits * dlogits).sum().backward()
    peaks = [peakedness(a.detach().numpy()) for name, a in steps.items() if name.endswith(".attention")]
    assert len(peaks) == 12 and all(0.2 <= p <= 0.45 for p in peaks), peaks

    model = minivit.load(reference)
    assert model.dtype == np.float64
    x = channels_last(images)
    ours = minivit.tracing.trace(model, x)
    assert set(ours) - set(steps) == {"pixels", "patches"}
    differences("steps", {name: ours[name] for name in steps}, arrays(steps))
    del ours, steps
    ours, cache = model.forward(x)
    differences("logits", ours, logits.detach().numpy())
    dx, grads = model.backward(dlogits.numpy(), cache)
    differences("gradient of the pixels", dx, channels_last(images.grad))
    differences("gradients of parameters", minivit.state_dict(model, grads),
                {name: weight.grad.numpy() for name, weight in reference.named_parameters()})


def to_timms_name(name):
    """torchvision's name of a parameter under timm's."""
    for theirs, timms in (("class_token", "cls_token"), ("conv_proj", "patch_embed.proj"), ("heads.head", "head"),
                          ("encoder.pos_embedding", "pos_embed"), ("encoder.ln", "norm"),
                          ("encoder.layers.encoder_layer_", "blocks."), ("ln_1", "norm1"), ("ln_2", "norm2"),
                          ("self_attention.in_proj_", "attn.qkv."), ("self_attention.out_proj", "attn.proj"),
                          ("mlp.0", "mlp.fc1"), ("mlp.3", "mlp.fc2")):
        name = name.replace(theirs, timms)
    return name


def test_torchvision(differences):
    import torch
    from timm_steps import draw
    from torchvision.models import vit_b_16
    reference = vit_b_16().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in reference.named_parameters():
            weight.copy_(draw(to_timms_name(name), weight.shape, generator, query_key_std=1.7))
    reference = reference.double()
    images = torch.randn(2, 3, 224, 224, generator=generator).double().requires_grad_()
    labels = torch.tensor([17, 999])
    logits = reference(images)
    value = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    value.backward()

    model = minivit.load(reference)
    assert model.dtype == np.float64
    x = channels_last(images)
    assert all(0.2 <= peakedness(a) <= 0.45 for a in minivit.tracing.attention_maps(model, x))
    ours, cache = model.forward(x)
    differences("logits", ours, logits.detach().numpy())
    targets = np.full((2, 1000), 0.1 / 1000)
    targets[[0, 1], labels.numpy()] += 0.9
    ours_value, loss_cache = loss.forward(ours, targets)
    differences("cross-entropy, smoothed", ours_value, value.detach().numpy())
    dx, grads = model.backward(loss.backward(loss_cache), cache)
    differences("gradient of the pixels", dx, channels_last(images.grad))
    differences("gradients of parameters", minivit.state_dict(model, grads),
                {to_timms_name(name): weight.grad.numpy() for name, weight in reference.named_parameters()})
