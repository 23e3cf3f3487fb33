"""EfficientNet-Lite0 is the published code's, with the same weights."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from ldm.metrics.perceptual import efficientnet
from tests.test_efficientnet import pictures, relative


def test_the_function_is_that_of_the_torch_code_when_both_hold_the_shipped_weights():
    network, images = efficientnet.load_efficientnet(), pictures()
    net = EfficientNet.from_name("efficientnet-lite0").eval()
    pairs = {"stem": (net._conv_stem, net._bn0), "head": (net._conv_head, net._bn1)}
    for i, block in enumerate(net._blocks):
        if i:
            pairs[f"blocks.{i}.expand"] = (block._expand_conv, block._bn0)
        pairs[f"blocks.{i}.depthwise"] = (block._depthwise_conv, block._bn1)
        pairs[f"blocks.{i}.project"] = (block._project_conv, block._bn2)
    with torch.no_grad():
        for name, (conv, bn) in pairs.items():
            kernel = np.array(network.weights[f"{name}.kernel"]).transpose(3, 2, 0, 1)
            conv.weight.copy_(torch.from_numpy(kernel.copy()))
            bn.bias.copy_(torch.from_numpy(np.array(network.weights[f"{name}.bias"])))
            bn.running_var.fill_(1 - bn.eps)  # the norm is the identity but for its bias
        resized = np.array(efficientnet.resize(jnp.asarray(images), 160))
        x = (torch.from_numpy(resized).permute(0, 3, 1, 2) - 127) / 128
        theirs = net.extract_features(x).mean((2, 3)).numpy()
    assert relative(network(images), theirs) < 1e-5
