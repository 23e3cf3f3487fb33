// A page as it is printed (book/pdf.py): folds open, charts drawn in light, controls in words.
window.ldmPaper = {
  // places: those that other pages lead to. Chromium keeps a place if some link of its own page leads there.
  async opened(places) {
    document.documentElement.dataset.theme = "light";
    for (const fold of document.querySelectorAll("details")) fold.open = true;
    const leads = document.createElement("p");
    leads.style = "font-size: 1px; color: transparent; margin: 0";
    for (const place of places) {
      leads.append(Object.assign(document.createElement("a"), { href: "#" + place, textContent: "." }));
    }
    document.querySelector("article")?.append(leads);
    dispatchEvent(new Event("beforeprint"));
    await window.MathJax?.startup?.promise;
    await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  },

  // What one chooses by is said in words, and what lies under a divider stands side by side.
  stilled() {
    for (const control of document.querySelectorAll(".vega-bind")) {
      const menu = control.querySelector("select"), dot = control.querySelector("input:checked");
      const shown = control.querySelector("output") ?? control.querySelector("input + span");
      const value = menu?.selectedOptions[0]?.textContent ?? dot?.parentElement.textContent ?? shown?.textContent ?? "";
      control.textContent = `${control.querySelector(".vega-bind-name")?.textContent.trim()}: ${value.trim()}`;
    }
    for (const divider of document.querySelectorAll(".ldm-divider")) {
      const row = Object.assign(document.createElement("div"), { className: "ldm-beside" });
      const seen = [...divider.querySelectorAll("img:not([hidden])")].sort((a, b) => a.style.zIndex - b.style.zIndex);
      for (const { src, dataset } of seen) {
        const figure = document.createElement("figure");
        figure.append(Object.assign(document.createElement("img"), { src }), dataset.way);
        row.append(figure);
      }
      divider.replaceWith(row);
    }
  },
};
