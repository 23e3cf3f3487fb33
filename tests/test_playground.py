"""The book's playground: what it is made of, and that a browser draws with it what Python draws."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from dataclasses import replace
from typing import get_args
from urllib.parse import quote

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from ldm.data.scenes import captions
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.record import Scene
from ldm.figures import race
from ldm.interop import browser as browser_files
from ldm.interop.onnx import graph
from ldm.networks import cost
from ldm.profiles import OPEN_EPS
from ldm.tasks import models
from tests.pages import QuietHandler, open_page, served
from tests.playground import CAPTION, NETWORKS, SEED, STEPS, drawn, parts, put
from tests.synthetic import sampling


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return put(tmp_path_factory.mktemp("site"))


@pytest.mark.slow
def test_weights_are_stored_in_half_precision_and_what_is_never_read_is_left_out(folder):
    options = json.loads((folder / "browser.json").read_text())
    for network in options["networks"]:
        bound = 2 if network["name"].startswith("unet") else 2.5  # of so small a one the graph itself is a fifth
        assert network["bytes"] == (folder / network["file"]).stat().st_size < bound * network["params"]


def test_the_sizes_on_offer_are_those_of_the_family_whose_models_ship():
    shipped = models.shipped_sizes(OPEN_EPS)
    assert set(shipped) <= set(OPEN_EPS.family)
    assert all(models.model_path(OPEN_EPS, c, OPEN_EPS.length).is_file() == (c in shipped) for c in OPEN_EPS.family)
    with pytest.raises(ValueError, match="There is no trained model of c = 8"):
        models.shipped_sizes(replace(OPEN_EPS, setting="untrained"))


def test_the_families_share_all_that_the_page_has_once():
    one, *others = browser_files.FAMILIES
    for other in others:
        for shared in ("predict", "spacing", "noise", "latent_shape", "scenes", "tokens", "guidance"):
            assert getattr(one, shared) == getattr(other, shared), shared
        assert models.frozen_files(one) == models.frozen_files(other)


def test_a_network_whose_model_does_not_ship_is_refused(tmp_path):
    with pytest.raises(ValueError, match="network = 'unet-c9': expected some of unet-c8, .*dit-c48"):
        browser_files.write(tmp_path, ["dit-c48", "unet-c9"])
    assert not list(tmp_path.iterdir())


def test_the_words_of_every_caption_have_a_number():
    known = browser_files.vocabulary(OPEN_EPS, parts()[1])["ids"]
    scenes = Scenes(OPEN_EPS.scenes, "test", 64)
    for scene in map(scenes.scene, range(64)):
        assert set(captions.tokens(captions.caption(scene))) <= set(known)


def test_an_operation_that_is_not_known_is_named():
    with pytest.raises(NotImplementedError, match="'sort'"):
        graph(jnp.sort, {"x": jax.ShapeDtypeStruct((4,), jnp.float32)}, "y")


def test_a_second_writing_changes_nothing(folder):
    before = (folder / "unet-c8.onnx").stat().st_mtime_ns
    browser_files.write(folder, NETWORKS)
    assert (folder / "unet-c8.onnx").stat().st_mtime_ns == before


def test_the_settings_that_the_page_offers_beside_each_other_are_of_one_cost():
    """book/playground.md offers these four."""
    for c, steps in ((8, 50), (16, 16), (24, 8), (32, 5)):
        price = cost.sampling_cost(cost.norm_cost(c, size=8, tokens=OPEN_EPS.tokens, context=OPEN_EPS.context), steps)
        assert c in models.shipped_sizes(OPEN_EPS)
        assert round(price, 2) == 0.06


@pytest.fixture
def address(folder):
    with served(folder.parent) as address:
        yield address


def fields(scene: Scene, spoken: frozenset[str]) -> dict[str, str]:
    """What a reader chooses in the page to say these parts of a scene."""
    first, second = [*scene.objects, None][:2]
    two = second is not None and "other" in spoken
    where = "where" in spoken and (two or second is None)
    colours = [*scene.colours, ""] if "colours" in spoken else ["", ""]
    chosen = {
        "subject": first.name if "subject" in spoken else "",
        "size": first.size if "size" in spoken else "",
        "other": second.name if two else "",
        "other_size": second.size if two and "size" in spoken else "",
        "place": (scene.relation or scene.place) if where else "",
        "style": scene.style if "style" in spoken else "",
        "kind": scene.kind if "kind" in spoken else "",
        "colour": colours[0],
        "colour2": colours[1],
    }
    return chosen


def test_the_page_says_each_scene_at_every_level_as_the_grammar_does(address, browser):
    page, wrong = open_page(browser, address + "index.html", "light")
    page.wait_for_selector("button[name=draw]")
    scenes = Scenes(OPEN_EPS.scenes, "test", 300)
    asked = [
        (scene, captions.said(scene, level, seed))
        for scene in map(scenes.scene, range(300))
        for level in get_args(captions.Level)
        for seed in range(3 if level == "some" else 1)
    ]
    found = page.evaluate(
        """(asked) => asked.map((chosen) => {
            const { elements } = document.querySelector("#playground form");
            for (const [name, value] of Object.entries(chosen)) elements[name].value = value;
            elements.subject.dispatchEvent(new Event("input", { bubbles: true }));
            return elements.caption.value;
        })""",
        [fields(scene, spoken) for scene, spoken in asked],
    )
    expected = [captions.caption(scene, spoken) or "the empty caption" for scene, spoken in asked]
    assert found == expected and len(set(expected)) > 800
    assert not wrong
    page.context.close()


def test_a_part_that_is_left_open_stands_in_the_address_and_what_cannot_be_said_is_not_offered(address, browser):
    page, wrong = open_page(browser, address + "index.html#subject=cat&kind=striped&colour=blue&place=above", "light")
    page.wait_for_selector("button[name=draw]")
    said = lambda: page.inner_text("output[name=caption]")
    first, second = said().split(" background")[0].split(" on a striped blue and ")
    assert (first, second in OPEN_EPS.scenes.colours) == ("a cat,", True)  # no style; two colours; no relation
    page.select_option("select[name=other]", "owl")
    page.select_option("select[name=place]", "above")
    page.select_option("select[name=kind]", "")
    page.select_option("select[name=colour]", "")
    page.fill("input[name=seed]", "7")
    assert said() == "a cat above an owl"
    assert not page.is_visible("select[name=colour2]")
    other, _ = open_page(browser, page.url, "light")
    other.wait_for_selector("button[name=draw]")
    assert other.inner_text("output[name=caption]") == "a cat above an owl"
    page.select_option("select[name=subject]", "")
    assert said() == "the empty caption" and not page.is_visible("select[name=style]")
    assert not wrong
    for opened in (page, other):
        opened.context.close()


@pytest.mark.parametrize("network", NETWORKS)
def test_the_browser_draws_by_keyboard_the_latents_of_the_sampler_and_adds_up_the_cost(address, browser, network):
    page, wrong = open_page(browser, address + "index.html", "light")
    page.wait_for_selector("button[name=draw]")
    chosen = {
        "size": "large",
        "subject": "cat",
        "other": "owl",
        "other_size": "",
        "place": "left of",
        "style": "flat",
        "kind": "",
        "colour": "blue",
        "colour2": "yellow",
        "network": network,
        "sampler": "ddpm",
        "steps": str(STEPS),
        "guidance": "3",
    }
    for name, value in chosen.items():
        page.select_option(f"select[name={name}]", value)
    page.fill("input[name=seed]", str(SEED))
    page.evaluate("""() => {
        const box = document.getElementById("playground");
        window.drawn = new Promise((resolve, reject) => {
            box.addEventListener("drawn", (event) => resolve(event.detail));
            new MutationObserver(() => box.querySelector(".wrong") && reject(new
            Error(box.querySelector(".wrong").textContent)))
              .observe(box, { subtree: true, attributes: true });
        });
    }""")
    page.press("input[name=seed]", "Tab")
    assert page.evaluate("document.activeElement.name") == "draw"
    page.keyboard.press("Enter")
    found = page.evaluate("window.drawn")
    latents, picture = drawn("ddpm", network)
    assert found["caption"] == CAPTION
    np.testing.assert_allclose(np.reshape(found["latents"], latents.shape), latents, atol=1e-3)
    assert np.abs(np.reshape(found["pixels"], picture.shape) - picture.astype(int)).max() <= 1
    assert page.locator(".steps figure").count() == STEPS
    spent = float(page.inner_text(".count").split("Cost so far ")[1].split()[0].rstrip("."))
    assert spent == pytest.approx(STEPS * found["cost"], rel=0.01)
    assert not wrong
    page.context.close()


def test_a_race_draws_by_each_size_that_is_there_until_its_budget_is_spent(address, browser):
    page, wrong = open_page(
        browser, f"{address}race.html#at=race&seed={SEED}&budget=2&caption={quote(CAPTION)}", "light"
    )
    assert page.input_value("#race [name=seed]") == str(SEED)
    page.evaluate("""() => {
        const box = document.getElementById("race");
        window.raced = new Promise((resolve, reject) => {
            box.addEventListener("raced", (event) => resolve(event.detail));
            setTimeout(() => reject(new Error(box.textContent)), 120000);
        });
    }""")
    page.click("#race button[name=race]")
    found = page.evaluate("window.raced")
    price = cost.norm_cost(8, size=8, tokens=OPEN_EPS.tokens, context=OPEN_EPS.context)
    assert list(found) == ["8"] and found["8"]["step"] == STEPS  # c = 16 was not exported
    assert found["8"]["spent"] == pytest.approx(STEPS * price)
    picture = drawn("ddim")[1]
    assert np.abs(np.reshape(found["8"]["pixels"], picture.shape) - picture.astype(int)).max() <= 1
    assert page.eval_on_selector("#race progress", "meter => meter.value") == pytest.approx(STEPS * price)
    page.select_option("#race [name=budget]", "1")
    assert "budget=1" in page.url and "at=race" in page.url
    assert not wrong
    page.context.close()


def test_a_race_from_the_disk_says_how_to_serve_the_book(folder, browser):
    page, wrong = open_page(browser, f"file://{folder.parent}/race.html", "light")
    page.click("#race button[name=race]")
    assert "python3 -m http.server" in page.inner_text("#race .status")
    assert page.get_attribute("#race button[name=race]", "aria-disabled") is None
    assert not wrong
    page.context.close()


def test_a_race_has_settings_of_its_own_for_each_level_of_caption():
    more, fewer = (
        sampling(lambda c, steps, guidance, w=w: 100 / steps + abs(guidance - w), se=0.01)[0].assign(level=level)
        for level, w in (("some", 2.0), ("subject", 4.0))
    )
    captions = {"some": ["a cat, flat style", "a cat, flat style", "an owl"], "subject": ["a cat"], "nothing": [""]}
    shown = race.race(pd.concat([more, fewer[fewer["steps"] > 1]]), "kid_effnet", (1, 2, 8), captions, 25.3).data
    given = json.loads(shown.split('json">')[1].split("</script>")[0])
    some, subject = given["groups"]
    assert some["captions"] == ["a cat, flat style", "an owl"] and given["megabytes"] == 25
    assert list(some["budgets"]) == list(subject["budgets"]) == ["2", "8"]  # what both levels have
    assert {run["guidance"] for run in some["budgets"]["8"]["runs"]} == {2.0}
    assert {run["guidance"] for run in subject["budgets"]["8"]["runs"]} == {4.0}
    assert race.race(more[:0], "kid_effnet", (1,), captions, 25.3).data == ""


def test_the_budgets_of_a_race_are_steps_of_the_largest_at_each_sizes_best_setting():
    rows = sampling(lambda c, steps, guidance: 100 / steps + 10 / c + guidance, se=0.01)[0]
    found = race.budgets(rows, "kid_effnet", (1, 2, 3, 8))
    assert list(found) == ["1", "2", "8"]  # there are no rows of three steps
    assert found["2"]["title"] == "2 steps of c = 32" and found["2"]["cost"] == 8.0
    assert found["2"]["runs"] == [
        {"c": 8, "steps": 8, "guidance": 1.0},
        {"c": 16, "steps": 4, "guidance": 1.0},
        {"c": 32, "steps": 2, "guidance": 1.0},
    ]


class Plain(QuietHandler):
    """A server that knows JavaScript by the ending .js alone, as many do."""

    def guess_type(self, path):
        return "text/plain" if not str(path).endswith((".html", ".css", ".js", ".json")) else super().guess_type(path)


class Strict(QuietHandler):
    """A server whose policy does not let a page compile WebAssembly."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", "default-src 'self' data:; script-src 'self'")
        super().end_headers()


class Workerless(QuietHandler):
    """A server whose policy does not let a page start a worker."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", "worker-src 'none'")
        super().end_headers()


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (Plain, "Drawn in 10 steps"),
        (Strict, "the policy of this server does not let a page run WebAssembly"),
        (Workerless, "the sampler did not start"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_unusual_server_below_a_path_draws_or_says_why_not(folder, browser, server, sentence):
    handler = functools.partial(server, directory=str(folder.parents[1]))
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    page, _ = open_page(browser, f"http://127.0.0.1:{serving.server_port}/{folder.parent.name}/index.html", "light")
    page.click("button[name=draw]")
    page.wait_for_function("() => !document.querySelector('button[name=draw]').disabled", timeout=60_000)
    assert sentence in page.inner_text("#playground .status")
    page.context.close()
    serving.shutdown()
    serving.server_close()


def test_a_page_opened_from_the_disk_says_how_to_serve_it(folder, browser):
    page, wrong = open_page(browser, f"file://{folder.parent}/index.html", "light")
    assert "python3 -m http.server" in page.inner_text("#playground .status")
    assert not wrong
    page.context.close()
