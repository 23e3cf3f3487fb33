// What the playground (page.js), the race (race.js) and the cells (../ask) share: elements, numbers, pictures, workers.
// A classic script, since a browser refuses modules to a page opened from the disk, and that has to be said.
window.ldmDraw = (() => {
  "use strict";
  const folder = new URL(".", document.currentScript.src).href;

  const make = (tag, attributes = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  };
  const menu = (name, label, groups, chosen) => {       // groups: [title, [value, text] each], "" for no title
    const input = make("select", { name });
    for (const [title, choices] of groups) {
      const into = title ? make("optgroup", { label: title }) : input;
      for (const [value, text] of choices) into.append(make("option", { value, textContent: text }));
      if (title) input.append(into);
    }
    if (chosen !== undefined) input.value = chosen;
    return make("label", { className: "field" }, make("span", { textContent: label }), input);
  };
  const shown = (label) => {                            // a canvas is a picture, and says of what
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    return canvas;
  };
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const numbers = (value, digits = 3) => Number(value.toPrecision(digits)).toString();

  function missing(what = "the models") {
    if (location.protocol === "file:")
      return `Your browser does not let a page that was opened from the disk load ${what}. Serve the book instead: ` +
        "run “python3 -m http.server” in the folder that holds its index.html, and open http://localhost:8000.";
    const absent = ["WebAssembly", "Worker", "DecompressionStream"].filter((name) => !(name in window));
    return absent.length ? `Your browser has no ${absent.join(", no ")}; expected one of 2023 or later.` : "";
  }

  function paint(canvas, pixels, side) {
    canvas.width = canvas.height = side;
    const image = new ImageData(side, side);
    for (let i = 0; i < side * side; i++) {
      image.data.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  // A worker that draws or reckons, each of its answers given to `answer`; undefined where the browser does not start
  // one, which is answered as an error.
  function opened(answer, address = `${folder}worker.js`, what = "the sampler") {
    const unstarted = `${what} did not start, since the server does not send worker.js as JavaScript, or its policy ` +
      "does not let a page start it. Serve the book yourself, by “python3 -m http.server” in the folder that holds " +
      "its index.html.";
    let worker;
    try {
      worker = new Worker(address, { type: "module" });
    } catch {
      answer({ data: { error: unstarted } });
      return undefined;
    }
    worker.onmessage = answer;
    worker.onerror = (event) => {
      event.preventDefault();
      answer({ data: { error: event.message ?? unstarted } });
    };
    return worker;
  }

  return { folder, make, menu, shown, megabytes, numbers, missing, paint, opened };
})();
