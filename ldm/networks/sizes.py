"""What a network of the study costs by its kind and its size `c`.

`c` is the base filter count of a UNet, the width of a transformer.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, get_args

from ldm.networks import cost, dit_config
from ldm.networks.dit_config import PUBLISHED, DiTConfig
from ldm.networks.dit_cost import gflops_of, params_of

Network = Literal["unet", "unet-short", "dit", "dit-2", "dit-published"]
UNETS: dict[Network, cost.Shape] = {
    "unet": cost.FULL,
    "unet-short": cost.SHORT,  # of two levels, of a block each, which compiles sooner
}
PATCHES: dict[Network, int] = {"dit": 1, "dit-2": 2, "dit-published": 2}  # of transformers, their sides


def transformer(network: Network, c: int, context: int, **fields: Any) -> DiTConfig:
    """Return the shape of a transformer of width c: the study's own, or a published one (DiT-S, B, L, XL), told text.

    fields: of `DiTConfig`, besides. Raises: ValueError for a width that the network does not come in.
    """
    if network not in PATCHES:
        raise ValueError(f"network = {network!r}: expected a transformer, one of {', '.join(PATCHES)}.")
    patch = PATCHES[network]
    if network != "dit-published":
        return dit_config.small(c, context, patch, **fields)
    names = {width: name for name, (width, _, _) in PUBLISHED.items()}
    if c not in names:
        raise ValueError(f"width is {c!r}; expected a published one, {', '.join(map(str, names))}.")
    return dit_config.with_text(f"{names[c]}/{patch}", context, **fields)


@functools.cache
def params(network: Network, c: int, context: int) -> int:
    """Count the parameters. Raises: ValueError for an unknown network, and for a size that it does not come in."""
    check_network(network)
    if network in PATCHES:
        return params_of(transformer(network, c, context))
    return cost.unet_params(c, context, UNETS[network])


@functools.cache
def gflops(network: Network, c: int, size: int, tokens: int, context: int) -> float:
    """Return GFLOPs (1e9, a multiply-add is two) of one forward pass on one image of size x size latents.

    Raises: as `params`.
    """
    check_network(network)
    if network in PATCHES:
        return gflops_of(transformer(network, c, context), size, tokens)
    return cost.unet_gflops(c, size, tokens, context, UNETS[network])


def norm_cost(network: Network, c: int, size: int, tokens: int, context: int) -> float:
    """Return GFLOPs in the paper's unit, the UNet of c = 320 on the same latents: all networks share one axis."""
    return gflops(network, c, size, tokens, context) / cost.unet_gflops(cost.REFERENCE, size, tokens, context)


def check_network(network: Network) -> None:
    """Raise ValueError for an unknown network, naming the known ones."""
    if network not in get_args(Network):
        raise ValueError(f"network = {network!r}: expected one of {', '.join(get_args(Network))}; choose one of them.")
