// The page of the playground: a caption put together from words that the models know, the settings, and the pictures
// as worker.js makes them. A classic script, since a browser refuses modules to a page opened from the disk, and that
// has to be said. Needs shared.js before it. Fires "drawn" on #playground with the latents, for tests.
(() => {
  "use strict";
  const { folder, make, menu, shown, megabytes, numbers, missing, paint, opened } = window.ldmDraw;  // shared.js

  const RUNTIME = 2_940_000;                            // bytes of ONNX Runtime in this folder
  const EMPTY = "the empty caption";

  const select = (name, label, choices, chosen) => menu(name, label, [["", choices]], chosen);
  const same = (values) => values.map((value) => [value, value]);
  const open = (values) => [["", "left open"], ...same(values)];
  const join = (parts, between) => parts.filter(Boolean).join(between);

  // The sentence of ldm/data/scenes/captions.py; `said` gives a part of it, "" where it is left open
  function sentence(said, words) {
    if (!said("subject")) return "";
    const noun = (name, size) => words.subjects[said(name)][said(size)];
    const what = said("other")
      ? [noun("subject", "size"), said("place") || "and", noun("other", "other_size")]
      : [noun("subject", "size"), said("place")];
    const ground = join([said("kind"), join([said("colour"), said("colour2")], " and ")], " ");
    return join([join(what, " "), said("style") && `${said("style")} style`, ground && `on a ${ground} background`], ", ");
  }

  function form(options) {
    const { words } = options, names = Object.keys(words.subjects);
    const sizes = open(["small", "large"]);
    const families = [...new Set(options.networks.map(({ family }) => family))].map((family) =>
      [family, options.networks.filter((n) => n.family === family).map((n) =>
        [n.name, `${n.title}: ${numbers(n.params / 1e6, 2)} M parameters, ${megabytes(n.bytes)}`])]);
    return make("form", {},
      make("fieldset", {}, make("legend", { textContent: "The caption" }),
        select("size", "size", sizes), select("subject", "subject", open(names), "owl"),
        select("place", "place", open([...words.places, ...words.relations])),
        select("other_size", "its size", sizes), select("other", "second subject", open(names)),
        select("style", "style", open(words.styles)), select("kind", "background", open(words.kinds), "hilly"),
        select("colour", "colour", open(words.colours)), select("colour2", "second colour", open(words.colours)),
        make("output", { name: "caption" })),
      make("fieldset", {}, make("legend", { textContent: "The sampling" }),
        menu("network", "network", families, options.networks[Math.min(1, options.networks.length - 1)].name),
        select("sampler", "sampler", same(Object.keys(options.samplers))),
        select("steps", "steps", same(Object.keys(options.samplers.ddim)), "10"),
        select("guidance", "guidance", same(options.guidance), "3"),
        make("label", { className: "field" }, make("span", { textContent: "seed" }),
          make("input", { type: "number", name: "seed", min: 0, max: 2147483647, step: 1, value: 0, required: true })),
        make("output", { name: "price" })),
      make("div", { className: "buttons" },
        make("button", { type: "submit", name: "draw", textContent: "Draw" }),
        make("button", { type: "button", name: "stop", textContent: "Stop", disabled: true })));
  }

  async function start() {
    const box = document.getElementById("playground");
    const status = make("p", { className: "status" });
    status.setAttribute("role", "status");
    box.replaceChildren(status);
    const fail = (sentence) => { status.textContent = sentence; status.classList.add("wrong"); };
    if (missing()) return fail(missing());

    let options;
    try {
      options = await (await fetch(`${folder}browser.json`)).json();
    } catch (error) {
      return fail(`The list of models did not load (${error.message}); build the book again with “make book”.`);
    }
    const { words, picture: side } = options;
    const fields = form(options), { elements } = fields;
    const get = (name) => elements[name].value;
    const network = () => options.networks.find(({ name }) => name === get("network"));
    const loaded = new Set();

    const large = Object.assign(shown("the picture as it is drawn"), { className: "large", width: side, height: side });
    const count = make("p", { className: "count" });
    const meter = make("progress", { max: 1, value: 0 });
    meter.setAttribute("aria-label", "steps done");
    const steps = make("div", { className: "steps" });
    const earlier = make("div", { className: "earlier" });
    const result = make("section", { className: "result", hidden: true },
      make("div", { className: "final" }, large, make("div", {}, meter, count)),
      make("h3", { textContent: "What the network took the picture for, at each step" }), steps,
      make("h3", { textContent: "Drawn so far" }), earlier);
    box.replaceChildren(fields, status, result);

    // A part is offered where it can be said with the others, in the words that fit them: of two subjects how they lie to
    // each other, of a background with a pattern two colours.
    function offer(name, shown, fits = () => true) {
      const field = elements[name], choices = [...field.options];
      field.closest(".field").hidden = !shown;
      for (const choice of choices) choice.hidden = choice.disabled = !fits(choice.value);
      if (shown && field.selectedOptions[0].disabled) field.value = choices.find((choice) => !choice.disabled).value;
    }
    const said = (name) => elements[name].closest(".field").hidden ? "" : get(name);

    function changed() {
      const subject = get("subject");
      for (const name of ["size", "style", "kind", "colour"]) offer(name, subject);
      offer("other", subject, (value) => value !== subject);
      offer("other_size", said("other"));
      offer("place", subject, (value) => !value || words.relations.includes(value) === Boolean(said("other")));
      offer("colour2", said("colour") && said("kind") !== "plain",
        (value) => value ? value !== said("colour") : !said("kind"));
      elements.caption.value = sentence(said, words) || EMPTY;
      const rows = options.samplers[get("sampler")][get("steps")].length;
      const load = [options.text, options.decoder, network()].reduce((sum, g) => sum + (loaded.has(g.file) ? 0 : g.bytes), 0)
        + (loaded.size ? 0 : RUNTIME);
      elements.price.value = `${rows} × ${numbers(network().cost)} = cost ${numbers(rows * network().cost)}` +
        (load ? `; loads ${megabytes(load)} first` : "");
    }
    // The settings stand in the address, so that one can send them to somebody; what no field offers is passed over.
    const named = [...elements].filter((field) => field.name && ["SELECT", "INPUT"].includes(field.tagName));
    function fromAddress() {
      const given = new URLSearchParams(location.hash.slice(1));
      for (const field of named) {
        if (!given.has(field.name)) continue;
        const before = field.value;
        field.value = given.get(field.name);
        if (field.selectedIndex === -1 || !field.checkValidity()) field.value = before;
      }
      changed();
    }
    function keepInAddress() {
      const set = named.filter((field) => !field.closest(".field").hidden && field.checkValidity()).map((f) => [f.name, f.value]);
      history.replaceState(history.state, "", `#${new URLSearchParams([["at", box.id], ...set])}`);
    }
    fields.addEventListener("input", () => { changed(); keepInAddress(); });
    addEventListener("hashchange", fromAddress);
    fromAddress();

    let worker, run;
    const still = matchMedia("(prefers-reduced-motion: reduce)");

    function finish(sentence, wrong = false) {
      status.classList.toggle("wrong", wrong);
      status.textContent = sentence;
      elements.draw.disabled = false;
      elements.stop.disabled = true;
    }

    function answer({ data }) {
      if (data.error) {
        worker?.terminate();
        worker = undefined;
        loaded.clear();
        return finish(`It could not be drawn: ${data.error}`, true);
      }
      if (data.loading) {
        const share = data.total ? `${megabytes(data.seen)} of ${megabytes(data.total)}` : megabytes(data.seen ?? 0);
        status.textContent = `Loading ${data.loading}`;
        count.textContent = data.starting ? "Starting it" : share;
        return;
      }
      if (data.step) {
        const { rows, cost } = run;
        run.seconds.push(data.seconds);
        run.pixels = data.picture;
        const shot = paint(shown(`step ${data.step}, time ${data.t}`), data.picture, side);
        steps.append(make("figure", {}, shot, make("figcaption", { textContent: data.step })));
        if (!still.matches || data.step === rows) paint(large, data.picture, side);
        meter.value = data.step / rows;
        const usual = [...run.seconds].sort((a, b) => a - b)[run.seconds.length >> 1];
        count.textContent = `Step ${data.step} of ${rows}. Cost so far ${numbers(data.step * cost)}. ` +
          `${usual.toFixed(3)} s a step.`;
        status.textContent = "Drawing";
        return;
      }
      for (const g of [options.text, options.decoder, run.drawer]) loaded.add(g.file);
      paint(large, run.pixels, side);
      const title = run.caption || EMPTY, done = run.seconds.length, spent = numbers(done * run.cost);
      const small = paint(shown(title), run.pixels, side), often = `${done} ${done === 1 ? "step" : "steps"}`;
      large.setAttribute("aria-label", title);
      earlier.prepend(make("figure", { title }, small, make("figcaption", {},
        make("b", { textContent: run.drawer.title }), `${often} of ${run.sampler}`, make("br"),
        `guidance ${run.guidance}, seed ${run.seed}`, make("br"), `cost ${spent}`)));
      finish(data.stopped ? `Stopped after ${often} of ${run.rows}, at cost ${spent}.`
        : `Drawn in ${often}, at cost ${spent}: ${title}.`);
      changed();
      box.dispatchEvent(new CustomEvent("drawn", { detail: { ...run, latents: [...data.latents], pixels: [...run.pixels] } }));
    }

    fields.addEventListener("submit", (event) => {
      event.preventDefault();
      run = {
        caption: sentence(said, words), drawer: network(), sampler: get("sampler"), steps: Number(get("steps")),
        guidance: Number(get("guidance")), seed: Number(get("seed")), cost: network().cost, seconds: [],
        rows: options.samplers[get("sampler")][get("steps")].length,
      };
      if (!(worker ??= opened(answer))) return;
      const { caption, drawer, sampler, steps: many, guidance, seed } = run;
      worker.postMessage({ folder, options, caption, network: drawer.name, sampler, steps: many, guidance, seed });
      elements.draw.disabled = true;
      elements.stop.disabled = false;
      status.classList.remove("wrong");
      status.textContent = "Starting";
      result.hidden = false;
      meter.value = 0;
      steps.replaceChildren();
    });
    elements.stop.addEventListener("click", () => worker?.postMessage("stop"));
  }
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", start) : start();
})();
