"""Search among noises: what is kept, what it costs, and that a picture belongs to its index and candidate."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm import profiles
from ldm.diffusion.counting import passes
from ldm.diffusion.solvers import ddim
from ldm.tasks.generate import Generator, candidate_keys
from ldm.tasks.search import best_of, gflops_of
from tests.test_guidance import STRONG
from tests.toy import SD

CAPTIONS = [f"caption {i}" for i in range(7)]


class Text:
    """Each caption by its length and last letter."""

    def encode(self, captions):
        seeds = [sum(map(ord, caption)) for caption in captions]
        return np.stack([np.random.default_rng(s).standard_normal((4, 6)) for s in seeds]).astype(np.float32)

    def null(self, n):
        return np.zeros((n, 4, 6), np.float32)


class Codec:
    """A picture is its latents' first three channels."""

    def decode(self, latents):
        return np.clip(128 + 40 * latents[..., :3], 0, 255).astype(np.uint8)


GENERATOR = Generator(
    profile=replace(profiles.get("smoke"), batch=3),
    structure=STRONG[0],
    params=STRONG[1],
    codec=Codec(),
    text=Text(),
)
PLAN = ddim(SD, 3)


def brightness(images, captions):
    return images.mean((1, 2, 3))


def search(candidates, captions=CAPTIONS, verifier=brightness, **options):
    return list(best_of(GENERATOR, captions, PLAN, 2.0, verifier, candidates, **options))


def test_a_search_keeps_the_best_candidate_and_the_scores_of_all():
    found = search(4, seed=5)
    images, scores = (np.concatenate([getattr(f, name) for f in found]) for name in ("images", "scores"))
    assert images.shape == (7, *GENERATOR.profile.latent_shape[:2], 3) and scores.shape == (7, 4)
    every = [np.concatenate(list(GENERATOR.images(CAPTIONS, PLAN, 2.0, seed=5, candidate=j))) for j in range(4)]
    np.testing.assert_array_equal(scores, np.stack([brightness(x, None) for x in every], 1))
    best = scores.argmax(1)
    assert len(set(best)) > 1  # not always the same one
    np.testing.assert_array_equal(images, [every[j][i] for i, j in enumerate(best)])
    np.testing.assert_array_equal(np.concatenate([f.chosen for f in found]), best)


def test_a_search_leads_away_from_each_pictures_own_prompt_whatever_the_batch():
    negative = [f"no {caption}" for caption in CAPTIONS]
    found = np.concatenate([f.images for f in search(1, negative=negative)])
    plain = np.concatenate(list(GENERATOR.images(CAPTIONS, PLAN, 2.0, negative=negative)))
    np.testing.assert_array_equal(found, plain)


def test_a_search_among_one_is_none_and_a_shorter_one_is_the_beginning_of_a_longer():
    plain = np.concatenate(list(GENERATOR.images(CAPTIONS, PLAN, 2.0)))
    np.testing.assert_array_equal(np.concatenate([f.images for f in search(1)]), plain)
    short, long = (np.concatenate([f.scores for f in search(n)]) for n in (2, 3))
    np.testing.assert_array_equal(long[:, :2], short)


def test_a_searched_picture_does_not_depend_on_its_batch():
    whole = np.concatenate([f.images for f in search(3)])
    alone = np.concatenate([f.images for f in search(3, CAPTIONS[4:6], first=4)])
    np.testing.assert_array_equal(alone, whole[4:6])


def test_candidates_keys_are_their_own():
    keys = jax.random.split(jax.random.key(0), 5)
    seen = [np.asarray(jax.random.key_data(candidate_keys(keys, j))) for j in range(4)]
    np.testing.assert_array_equal(seen[0], jax.random.key_data(keys))
    assert len({row.tobytes() for rows in seen for row in rows}) == 20


def test_a_search_costs_its_candidates_and_their_verifier():
    found = passes(PLAN, 2.0, null=True).times(4)
    assert (found.whole, found.verifier, found.nfe) == ((24,), 4, 24)


def test_a_verifiers_flops_are_counted_without_running_it():
    of = jax.ShapeDtypeStruct((16, 32), jnp.float32)
    assert gflops_of(lambda a, b: a @ b.T, of, of) == pytest.approx(2 * 16 * 16 * 32 / 1e9)


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match="candidates = 0: expected at least 1"):
        search(0)
    for wrong in (lambda images, captions: 1.0, lambda images, captions: np.full(len(images), np.nan)):
        with pytest.raises(ValueError, match="verifier: expected 3 finite numbers for as many pictures"):
            search(1, verifier=wrong)
