// Cells in which a reader asks a chapter's rows: an editor, and what its lines of Python give. Needs ../playground/shared.js
// before it, and ../ldm-charts.js for charts. Nothing is loaded before the first run; then all cells of the page share one
// interpreter. Fires "asked" on the cell when its answer is there, for tests.
(() => {
  "use strict";
  const { make, megabytes, missing, opened } = window.ldmDraw;
  const folder = new URL(".", document.currentScript.src).href;
  const shared = window.ldmAsk ??= { cells: [], worker: undefined };      // every cell of a page brings this script

  const finish = (sentence, wrong) => {                                   // of all that wait: the interpreter is gone
    if (shared.worker) shared.worker.onmessage = null;                      // what it has still sent comes too late
    shared.worker?.terminate();
    shared.worker = undefined;
    for (const cell of shared.cells) cell.waits && cell.rest(sentence, wrong);
  };

  function answer({ data }) {
    if (data.error) return finish(`It could not be asked: ${data.error}`, true);
    if (data.cell !== undefined) return shared.cells[data.cell].take(data);
    const share = data.total ? `: ${megabytes(data.seen)} of ${megabytes(data.total)}` : "";
    for (const cell of shared.cells)
      if (cell.waits) cell.progress(data.starting ? "Starting Python" : `Loading ${data.loading}${share}`);
  }

  function show(box) {
    const code = box.querySelector("pre").textContent;
    const number = shared.cells.length, name = number ? `ask-${number + 1}` : "ask";
    const size = Number(box.dataset.bytes), load = size ? ` (loads ${Math.round(size / 1e6)} MB)` : "";
    const editor = make("textarea", {
      value: code, rows: code.split("\n").length + 1, spellcheck: false, autocapitalize: "off", autocomplete: "off",
    });
    const run = make("button", { type: "submit", textContent: `Run${load}` });
    const stop = make("button", { type: "button", textContent: "Stop", disabled: true, className: "other" });
    const again = make("button", { type: "button", textContent: "Reset", className: "other" });
    const keys = make("span", { className: "keys", textContent: "or Ctrl + Enter" });
    const status = make("p", { className: "status" }), loading = make("p", { className: "loading" });
    status.setAttribute("role", "status");
    const form = make("form", {},
      make("label", {}, make("span", { textContent: "Python" }), editor), make("div", { className: "buttons" }, run, stop, again, keys));
    const answers = make("div", { className: "answers" });
    box.id ||= name;
    box.querySelector(".elsewhere").remove();
    box.querySelector("pre").replaceWith(form, loading, status, answers);
    let began;

    const cell = {
      waits: false,
      progress(text) { loading.textContent = text; },
      rest(sentence, wrong = false) {
        cell.waits = false;
        status.textContent = sentence;
        status.classList.toggle("wrong", wrong);
        loading.textContent = "";
        stop.disabled = true;
        run.removeAttribute("aria-disabled");
        if (shared.worker) run.textContent = "Run";
        box.dispatchEvent(new CustomEvent("asked"));
      },
      take({ running, finished, chart, html, text, wrong }) {
        if (running) {
          began = performance.now();
          status.textContent = "Running";
          loading.textContent = "";
        } else if (finished) {
          const seconds = ((performance.now() - began) / 1000).toFixed(1);
          return cell.rest(answers.querySelector(".wrong") ? "Python stopped at an error." : `Answered in ${seconds} s.`);
        } else if (text !== undefined && answers.lastChild?.matches("pre:not(.wrong)")) answers.lastChild.append(`\n${text}`);
        else answers.append(chart ? drawn(chart) : html ? table(html) : printed(wrong ?? text, wrong !== undefined));
        if (chart) window.ldmCharts.add(answers.lastChild);
      },
    };
    shared.cells.push(cell);

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (cell.waits) return;
      if (missing()) return cell.rest(missing("Python"), true);
      cell.waits = true;
      answers.replaceChildren();
      run.setAttribute("aria-disabled", "true");
      stop.disabled = false;
      status.classList.remove("wrong");
      status.textContent = shared.worker ? "Waiting" : "Loading";
      shared.worker ??= opened(answer, `${folder}worker.js`, "Python");
      shared.worker?.postMessage({ cell: number, rows: new URL(box.dataset.rows, location.href).href, code: editor.value });
    });
    editor.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
    });
    again.addEventListener("click", () => { editor.value = code; });
    stop.addEventListener("click", () => finish("Stopped. The next run starts Python anew."));
  }

  const table = (html) => {                                               // of ldm.figures.asked, which has escaped it
    const element = make("div");
    element.innerHTML = html;
    return element;
  };
  const printed = (text, wrong) => {
    const element = make("pre", { textContent: text, tabIndex: 0, className: wrong ? "wrong" : "" });
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", wrong ? "error" : "printed");
    return element;
  };
  const drawn = (spec) => {
    const source = make("script", { type: "application/json", textContent: JSON.stringify(spec) });
    const element = make("div", { className: "ldm-chart" }, source);
    element.setAttribute("role", "figure");
    element.setAttribute("aria-label", spec.description ?? "an interactive chart");
    return element;
  };

  function start() {
    for (const box of document.querySelectorAll(".ldm-ask:not([id])")) show(box);
  }
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", start) : start();
})();
