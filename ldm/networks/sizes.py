"""What a network of the study costs by its kind and its size `c`.

`c` is the base filter count of a UNet, the width of a transformer.
"""

from __future__ import annotations

from typing import Literal, get_args

from ldm.networks import cost
from ldm.networks.dit_cost import dit_gflops, dit_params

Network = Literal["unet", "unet-short", "dit", "dit-2"]  # short: of two levels, of a block each, which compiles sooner
UNETS: dict[Network, cost.Shape] = {"unet": cost.FULL, "unet-short": cost.SHORT}
PATCHES: dict[Network, int] = {"dit": 1, "dit-2": 2}  # sides of the squares of latents that are a transformer's tokens


def params(network: Network, c: int, context: int) -> int:
    """Count the parameters. Raises: ValueError for an unknown network, and for a size that it does not come in."""
    check_network(network)
    if network in PATCHES:
        return dit_params(c, context, PATCHES[network])
    return cost.unet_params(c, context, UNETS[network])


def gflops(network: Network, c: int, size: int, tokens: int, context: int) -> float:
    """Return GFLOPs (1e9, a multiply-add is two) of one forward pass on one image of size x size latents.

    Raises: as `params`.
    """
    check_network(network)
    of = (c, size, tokens, context)
    return dit_gflops(*of, PATCHES[network]) if network in PATCHES else cost.unet_gflops(*of, UNETS[network])


def norm_cost(network: Network, c: int, size: int, tokens: int, context: int) -> float:
    """Return GFLOPs in the paper's unit, the UNet of c = 320 on the same latents: all networks share one axis."""
    return gflops(network, c, size, tokens, context) / cost.unet_gflops(cost.REFERENCE, size, tokens, context)


def check_network(network: Network) -> None:
    """Raise ValueError for an unknown network, naming the known ones."""
    if network not in get_args(Network):
        raise ValueError(f"network = {network!r}: expected one of {', '.join(get_args(Network))}; choose one of them.")
