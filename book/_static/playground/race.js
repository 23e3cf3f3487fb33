// The race of the first page: one caption, drawn by every size within one budget, step by step and side by side.
// Needs shared.js before it. What can be chosen stands as JSON in the element: groups of captions by how much they say,
// and for each budget the best measured setting of each size on such captions. Fires "raced" on #race with the last
// pictures, for tests.
(() => {
  "use strict";
  const { folder, make, menu, shown, megabytes, missing, paint, opened } = window.ldmDraw;

  function start() {
    const box = document.getElementById("race");
    const given = JSON.parse(box.querySelector("script").textContent);
    const form = make("form", {},
      menu("caption", "caption", given.groups.map(({ title, captions }) =>
        [title, captions.map((text) => [text, text || "the empty caption"])])),
      menu("budget", "budget of each", [["", Object.entries(given.groups[0].budgets).map(([name, { title }]) => [name, title])]]),
      make("label", { className: "field" }, make("span", { textContent: "seed" }),
        make("input", { type: "number", name: "seed", min: 0, max: 2147483647, step: 1, value: 0, required: true })),
      make("button", { type: "submit", name: "race", textContent: "Draw it live" }),
      make("button", { type: "button", name: "stop", textContent: "Stop", disabled: true }));
    const status = make("p", { className: "status" });
    status.setAttribute("role", "status");
    const loading = make("p", { className: "loading", textContent: `The first race loads the models of all sizes from this book: ${given.megabytes} MB.` });
    const lanes = make("div", { className: "lanes" });
    box.replaceChildren(form, loading, status, lanes);
    let running;
    const { elements } = form, named = [...elements].filter((field) => ["SELECT", "INPUT"].includes(field.tagName));
    const say = (sentence) => { if (status.textContent !== sentence) status.textContent = sentence; };  // it is read out
    const rest = (sentence, wrong = false) => {
      say(sentence);
      status.classList.toggle("wrong", wrong);
      loading.textContent = "";
      elements.stop.disabled = true;
      elements.race.removeAttribute("aria-disabled");
      running = undefined;
    };
    const fail = (sentence) => rest(sentence, true);

    // What is chosen stands in the address, as that of every figure does
    function fromAddress() {
      const address = new URLSearchParams(location.hash.slice(1));
      if (address.get("at") !== box.id) return;
      for (const field of named) {
        const before = field.value;
        field.value = address.get(field.name) ?? before;
        if (field.selectedIndex === -1 || !field.checkValidity()) field.value = before;
      }
    }
    form.addEventListener("input", () => {
      if (form.checkValidity())
        history.replaceState(history.state, "", `#${new URLSearchParams([["at", box.id], ...named.map((f) => [f.name, f.value])])}`);
    });
    addEventListener("hashchange", fromAddress);
    fromAddress();

    const still = matchMedia("(prefers-reduced-motion: reduce)");
    let options, worker;

    function lane({ c, network, steps, guidance, cost }) {
      const picture = shown(`the picture of c = ${c}`), meter = make("progress", { max: running.budget, value: 0 });
      meter.setAttribute("aria-label", `budget spent by c = ${c}`);
      const caption = make("figcaption", {}, make("b", { textContent: `c = ${c}` }),
        `${steps} ${steps === 1 ? "step" : "steps"}, guidance ${guidance}`);
      lanes.append(make("figure", {}, picture, meter, caption));
      return { picture, meter, steps, cost, c, network };
    }

    function answer({ data }) {
      if (data.error) {
        worker?.terminate();
        worker = undefined;
        return fail(`It could not be drawn: ${data.error}`);
      }
      if (data.loading) {
        const share = data.total ? `: ${megabytes(data.seen)} of ${megabytes(data.total)}` : "";
        loading.textContent = data.starting ? `Starting ${data.loading}` : `Loading ${data.loading}${share}`;
        return say("Loading");
      }
      if (data.finished) {
        const { last } = running;
        rest(data.stopped ? "Stopped."
          : "Drawn. Each took the steps that were best for it within the budget; its meter shows what they cost.");
        box.dispatchEvent(new CustomEvent("raced", { detail: last }));
        return;
      }
      const mine = running.lanes.find(({ network }) => network === data.network);
      loading.textContent = "";
      say("Drawing");
      mine.meter.value = data.spent;
      running.last[mine.c] = { step: data.step, spent: data.spent, pixels: [...data.picture] };
      if (!still.matches || data.step === mine.steps) paint(mine.picture, data.picture, options.picture);
    }

    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (running) return;
      if (missing()) return fail(`${missing()} The pictures above were drawn with such settings.`);
      running = {};
      elements.race.setAttribute("aria-disabled", "true");
      status.classList.remove("wrong");
      say("Starting");
      try {
        options ??= await (await fetch(`${folder}browser.json`)).json();
      } catch (error) {
        return fail(`The list of models did not load (${error.message}); build the book again with “make book”.`);
      }
      const group = given.groups.find(({ captions }) => captions.includes(elements.caption.value));
      const { cost, runs } = group.budgets[elements.budget.value];
      const of = ({ c }) => options.networks.find(({ name }) => name === `unet-c${c}`);
      const priced = runs.filter(of).map((run) => ({ ...run, network: of(run).name, cost: of(run).cost }));
      Object.assign(running, { budget: cost, last: {} });
      lanes.replaceChildren();
      running.lanes = priced.map(lane);
      if (!(worker ??= opened(answer))) return;
      elements.stop.disabled = false;
      worker.postMessage({
        folder, options, caption: elements.caption.value, sampler: "ddim", seed: Number(elements.seed.value), runs: priced,
      });
    });
    elements.stop.addEventListener("click", () => worker?.postMessage("stop"));
  }
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", start) : start();
})();
