"""What a picture costs: how often each network is asked, and the FLOPs that are truly done.

The paper's cost counts a step as one evaluation, guided or not (`ldm.networks.cost.sampling_cost`). Here every pass
counts that the sampling loop makes, by the same settings as `ldm.diffusion.sampler.sample`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ldm.diffusion.guidance_settings import Guidance, inside
from ldm.diffusion.plan import Plan, owners


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Passes through networks, for one picture."""

    whole: tuple[int, ...]  # of the network, or of each of those that are stitched together
    shallow: int = 0  # of the network, with deep features from a row before (`sampler.Reuse`)
    guide: int = 0  # of the weaker network that guides
    verifier: int = 0  # of what looks at a finished picture (`ldm.tasks.search`), with the autoencoder before it

    @property
    def nfe(self) -> int:
        """Evaluations of denoising networks, each counted as one, however much of it was computed."""
        return sum(self.whole) + self.shallow + self.guide

    def times(self, candidates: int) -> Passes:
        """Return the passes of a search among so many candidates, each looked at by the verifier."""
        return Passes(
            whole=tuple(candidates * count for count in self.whole),
            shallow=candidates * self.shallow,
            guide=candidates * self.guide,
            verifier=candidates,
        )


def passes(
    plan: Plan,
    guidance: Guidance | float = 1.0,
    *,
    null: bool = False,
    guide: bool = False,
    every: int = 1,
    until: Float[np.ndarray, " k"] | None = None,
) -> Passes:
    """Count what `sampler.sample` asks for one picture.

    Args:
        null: whether the empty caption (or a negative prompt) is given; guide: whether a weaker network is.
        every: rows from one whole pass to the next (`sampler.Reuse`). until: of networks that are stitched together.
    """
    guidance = guidance if isinstance(guidance, Guidance) else Guidance(guidance)
    rows = int(plan.n)
    guided = inside(plan, guidance)[:rows] & (null or guide)
    asked = np.where(guided & (not guide), 2, 1)  # of the network itself: twice where it has to do without the caption
    fresh = np.arange(rows) % every == 0
    which = np.zeros(rows, int) if until is None else owners(plan, until)
    networks = 1 if until is None else len(until) + 1
    return Passes(
        whole=tuple(int(asked[fresh & (which == k)].sum()) for k in range(networks)),
        shallow=int(asked[~fresh].sum()),
        guide=int(guided.sum()) if guide else 0,
    )
