// Draws every .ldm-chart of the page: book/build.py put its Vega-Lite specification inside as JSON.
// One bundle (Vega, Vega-Lite, vega-embed), loaded from this folder when the first chart comes near.
// Redraws when the reader switches between light and dark, and when the column changes its width.
(() => {
  "use strict";
  const folder = document.currentScript.src;

  let bundle;
  const embedder = () => bundle ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("vega.js", folder);
    script.onload = () => resolve(window.vegaEmbed);
    script.onerror = () => reject(new Error("vega.js did not load"));
    document.head.append(script);
  });

  // A page opened from the disk may show the pictures beside it, but not ask for them as another origin's. Charts carry
  // their data, so nothing else is loaded.
  const loader = {
    load: (uri) => Promise.reject(new Error(`charts carry their data; not loaded: ${uri}`)),
    sanitize: async (href) => ({ href, crossOrigin: null }),
  };

  // Vega takes colours from inside the extent: four sizes from a fifth to four fifths of it. So it goes beyond the ends.
  const LIGHT = { ink: "#3b4350", faint: "#c9ced6", ring: "#ffffff", extent: [-0.2, 0.92] };
  const DARK = { ink: "#c8ced8", faint: "#4a515c", ring: "#121212", extent: [0.2, 1.15] };

  function config(width) {
    const c = document.documentElement.dataset.theme === "dark" ? DARK : LIGHT;
    const font = getComputedStyle(document.body).fontFamily;
    return {
      font, background: "transparent", padding: { left: 5, top: 5, bottom: 5, right: 14 },  // half of the last tick's label
      axis: { labelColor: c.ink, titleColor: c.ink, gridColor: c.faint, tickColor: c.faint, labelFont: font, titleFont: font,
        labelOverlap: "greedy", labelSeparation: 6 },
      axisX: { titleLimit: Math.max(120, width - 80) },
      header: { labelColor: c.ink, titleColor: c.ink, labelFont: font, labelFontSize: 13 },
      legend: { labelColor: c.ink, titleColor: c.ink, columns: Math.max(2, Math.floor(width / 120)) },
      title: { color: c.ink, subtitleColor: c.ink },
      range: { ordinal: { scheme: "plasma", extent: c.extent } },
    };
  }

  const SHEET = 860;  // pixels that a chart may be high on paper

  // Vega-Lite measures the container for a single view only; stacked ones and panels are fitted here: drawn
  // once with a guess for axes and padding, then again with what they turned out to need.
  async function fitted(embed, target, spec, options, width) {
    const views = spec.vconcat ?? (spec.facet && [spec.spec]);
    if (!views) return embed(target, spec, options);
    const most = Math.max(1, ...Object.values(param(spec, "sizes")?.value ?? {}).map((sizes) => sizes.length));
    const tall = views.map((view) => view.height), paper = matchMedia("print").matches;
    let frame = 110, across = 1;
    for (let attempt = 0; ; attempt++) {
      views.forEach((view, i) => {
        view.width = Math.max(120, width / across - frame);
        // the explorer's pictures, twice as high as wide, one a size: no empty space around small ones
        if (view.mark?.type === "image") view.height = Math.min(tall[i], 2 * (view.width / most - 6));
      });
      const result = await embed(target, spec, options);
      const { width: wide, height } = target.querySelector("svg").getBoundingClientRect(), over = (wide - width) / across;
      if (paper && spec.facet?.row && height > SHEET) {  // panels that no page has room for go beside each other
        [spec.facet, spec.columns, across, frame] = [spec.facet.row, 2, 2, 90];
        result.view.finalize();
        continue;
      }
      if (attempt >= 4 || (wide && over <= 0 && over >= -3)) return result;
      frame = Math.min(Math.max(frame + (wide ? over : 0), 20), Math.max(20, width / across - 120));
      result.view.finalize();
    }
  }

  const merged = (a, b) => Object.fromEntries([...new Set([...Object.keys(a), ...Object.keys(b)])].map((key) =>
    [key, isObject(a[key]) && isObject(b[key]) ? merged(a[key], b[key]) : b[key] ?? a[key]]));
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

  const boundParams = (spec) => (spec.params ?? []).filter((p) => p.bind?.input);

  // What the reader has set stands in the address, so that one can send it to somebody:
  // #at=figure-guidance&steps=4. The explorer's slider goes from one end of its rows to the other; its address names
  // the budget itself (the signal), which is the same whatever rows there are.
  const place = (box) => box.closest("[id]")?.id ?? "";
  const ends = (view) => view.signal("ends")[view.signal("axis")];
  const param = (spec, name) => (spec.params ?? []).find((p) => p.name === name);
  const has = (spec, name) => param(spec, name) !== undefined;

  function addressed(box, spec) {
    const given = new URLSearchParams(location.hash.slice(1)), found = {};
    if (given.get("at") !== place(box)) return found;
    for (const { name, bind } of boundParams(spec)) {
      if (!given.has(name)) continue;
      const text = given.get(name), number = Number(text);
      if (bind.input === "range") { if (Number.isFinite(number)) found[name] = Math.min(bind.max, Math.max(bind.min, number)); }
      else if (bind.options) found[name] = bind.options.find((option) => String(option) === text);
      if (found[name] === undefined) delete found[name];
    }
    if (has(spec, "ends") && Number(given.get("budget")) > 0) found.budget = Number(given.get("budget"));
    return found;
  }

  function share(view, budget) {
    const [lo, hi] = ends(view);
    return Math.min(1, Math.max(0, (Math.log(budget) - lo) / (hi - lo)));
  }

  async function setTo(view, values) {
    const { budget, ...others } = values;
    for (const [name, value] of Object.entries(others)) view.signal(name, value);
    if (Object.keys(others).length) await view.runAsync();
    if (budget) await view.signal("share", share(view, budget)).runAsync();
  }

  function keepInAddress(box, spec) {
    let soon;
    const write = () => {
      const address = new URLSearchParams({ at: place(box) });
      for (const { name } of boundParams(spec))
        if (name !== "share" || !has(spec, "ends")) address.set(name, box.view.signal(name));
      if (has(spec, "ends")) address.set("budget", Number(box.view.signal("budget").toPrecision(4)));
      history.replaceState(history.state, "", "#" + address);
    };
    for (const { name } of boundParams(spec))
      box.view.addSignalListener(name, () => { clearTimeout(soon); soon = setTimeout(write, 300); });
  }

  // Beside the explorer's slider, since on a phone the words under the chart may be out of view.
  function sayBudget(box, spec) {
    const slider = has(spec, "ends") && box.querySelector('input[name="share"]');
    if (!slider) return;
    const said = document.createElement("output");
    const say = () => {
      const text = Number(box.view.signal("budget").toPrecision(3)) + (box.view.signal("units")[box.view.signal("axis")] ?? "");
      said.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    };
    slider.parentElement.append(said);
    for (const name of ["budget", "axis"]) box.view.addSignalListener(name, say);
    say();
  }

  async function draw(box) {
    const embed = await embedder();
    const ink = document.documentElement.dataset.theme === "dark" ? DARK.ink : LIGHT.ink;
    const source = box.querySelector("script").textContent.replaceAll('"#888"', `"${ink}"`);  // ldm.charts.INK, which fits both
    const spec = JSON.parse(source), width = box.clientWidth;
    if (!width) return;                              // hidden, in a closed fold or tab: drawn when it opens
    const kept = {};                                 // a slider stays where the reader put it
    if (box.view) for (const { name } of boundParams(spec)) kept[name] = box.view.signal(name);
    else Object.assign(kept, addressed(box, spec));
    box.view?.finalize();
    let target = box.querySelector(".ldm-chart-view");
    if (!target) {
      target = document.createElement("div");
      target.className = "ldm-chart-view";
      box.append(target);
    }
    spec.config = merged(spec.config ?? {}, config(width));
    const result = await fitted(embed, target, spec, {
      renderer: "svg", downloadFileName: "chart", loader,
      actions: { export: true, source: true, compiled: false, editor: false },
    }, width);
    target.querySelector("summary")?.setAttribute("aria-label", "save the chart, or see what it is made of");
    box.view = result.view;
    box.drawnWidth = width;
    const wide = target.querySelector("svg")?.getBoundingClientRect().width ?? 0;  // measured while the page was laid out
    if (wide > 1.2 * width && (box.again = (box.again ?? 0) + 1) < 3) box.wanted++;
    await setTo(box.view, kept);
    sayBudget(box, spec);
    if (place(box)) keepInAddress(box, spec);
    box.dataset.drawn = document.documentElement.dataset.theme ?? "light";
  }

  // one drawing of a chart at a time, and always one more after the last reason to redraw
  function redraw(box) {
    box.wanted = (box.wanted ?? 0) + 1;
    if (box.drawing) return;
    box.drawing = (async () => {
      try {
        for (let seen = 0; seen !== box.wanted;) { seen = box.wanted; await draw(box); }
      } catch (error) {
        box.dataset.failed = error.message;
        console.error(`chart "${box.getAttribute("aria-label")}":`, error);
      } finally { box.drawing = null; }
    })();
  }

  // Charts of the page, and those that come later: `window.ldmCharts.add` (ask/ask.js)
  let charts = [];
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries)
      if (isIntersecting && !target.view) redraw(target);
  }, { rootMargin: "600px" });
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries)
      if (target.view && target.clientWidth && Math.abs(target.clientWidth - target.drawnWidth) > 8) redraw(target);
  });
  function add(box) {
    charts = [...charts.filter(({ isConnected }) => isConnected), box];
    near.observe(box);
    resized.observe(box);
  }
  window.ldmCharts = { add };

  function start() {
    document.querySelectorAll(".ldm-chart").forEach(add);
    new MutationObserver(() => charts.forEach((box) => { if (box.view) redraw(box); }))
      .observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    addEventListener("hashchange", () => charts.forEach((box) => {
      if (box.view) setTo(box.view, addressed(box, JSON.parse(box.querySelector("script").textContent)));
    }));
    addEventListener("beforeprint", () => charts.forEach((box) => { if (!box.view) redraw(box); }));
  }
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", start) : start();
})();
