// Links that lead to a place on a page: they land there although charts and formulas above are drawn later, and a
// figure's code for other pages names where this book lies.
(() => {
  "use strict";
  const folder = document.currentScript.src;

  // #at=figure-guidance&steps=4 names a place, too, with what is set there (ldm-charts.js, the playground).
  const named = () => new URLSearchParams(location.hash.slice(1)).get("at") ?? decodeURIComponent(location.hash.slice(1));
  const target = () => named() && document.getElementById(named());

  function start() {
    for (const code of document.querySelectorAll(".ldm-embed"))
      code.textContent = code.textContent.replace(/\.\.\/_static\//, new URL(".", folder).href);

    // Until the reader moves, the place that was asked for stays at the top while what lies above it grows. Whoever drags
    // the scroll bar is seen by that alone: the place leaves the top though nothing has grown.
    const article = document.querySelector("article") ?? document.body;
    const top = () => target().getBoundingClientRect().top;
    let moved = false, landed, tall;
    const land = () => {
      if (moved || !target()) return;
      target().scrollIntoView({ block: "start", behavior: "instant" });
      landed = top();
      tall = article.offsetHeight;
    };
    for (const event of ["wheel", "touchmove", "keydown", "pointerdown"])
      addEventListener(event, () => { moved = true; }, { passive: true });
    addEventListener("scroll", () => {
      if (target() && article.offsetHeight === tall && Math.abs(top() - landed) > 4) moved = true;
    }, { passive: true });
    addEventListener("hashchange", () => { moved = false; land(); });
    land();
    new ResizeObserver(land).observe(article);
  }
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", start) : start();
})();
