// Lessons: votes are counted, answers judged and results revealed, all in the page; nothing is sent or kept.
// With ?lesson in the address every .ldm-reveal stays hidden until somebody asks for it, how an answer is found until
// one was given, and what is for the teacher is not shown at all. On slides arrow keys turn.
(() => {
  "use strict";
  // "1,024" is a thousand and more, "2,5" two and a half
  const number = (text) => Number(/^-?\d{1,3}(,\d{3})+(\.\d+)?$/.test(text) ? text.replaceAll(",", "") : text.replace(",", "."));

  function judge({ answer, right, near }, given) {
    if (typeof answer === "string") return given === answer ? "right" : "not";
    const off = Math.abs(number(given) - answer) * (1 - 1e-9);
    return off <= right ? "right" : off <= near ? "nearly" : "not";
  }
  const SAID = { right: "Right.", nearly: "Nearly. Look again, a little closer.", not: "Not yet. Try again." };

  function start() {
    for (const form of document.querySelectorAll("form.ldm-ask")) form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = String([...new FormData(form).values()][0] ?? "").trim();
      const judged = JSON.parse(form.dataset.judge), output = form.querySelector("output");
      const wanted = typeof judged.answer === "string" ? "Choose one." : "Type a number.";
      const verdict = given && !(typeof judged.answer === "number" && Number.isNaN(number(given))) ? judge(judged, given) : "";
      form.dataset.verdict = verdict;
      if (verdict) form.querySelector("details")?.removeAttribute("hidden");
      output.textContent = SAID[verdict] ?? wanted;
    });
    for (const button of document.querySelectorAll(".ldm-guess button")) button.addEventListener("click", () => {
      const count = button.querySelector("b");
      count.textContent = Number(count.textContent) + 1;
    });
    if (new URLSearchParams(location.search).has("lesson")) asLesson();
    if (document.documentElement.classList.contains("ldm-slides")) turning();
  }

  function asLesson() {
    for (const part of document.querySelectorAll(".ldm-ask details, .ldm-links")) part.hidden = true;
    for (const mark of document.querySelectorAll("section > .ldm-teacher")) {
      const section = mark.parentElement;
      section.hidden = true;
      for (const link of document.querySelectorAll(`a[href="#${section.id}"]`)) link.closest("li")?.remove();
    }
    for (const part of document.querySelectorAll(".ldm-reveal")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "ldm-show";
      button.textContent = "Reveal";
      button.addEventListener("click", () => { part.hidden = false; button.remove(); });
      part.hidden = true;
      part.before(button);
    }
  }

  function turning() {
    const all = [...document.querySelectorAll("main > section")];
    let now = Math.min(Math.max((parseInt(location.hash.slice(1)) || 1) - 1, 0), all.length - 1);
    const foot = document.createElement("nav");
    foot.setAttribute("aria-label", "slides");
    foot.innerHTML = '<button type="button">Back</button> <span role="status"></span> <button type="button">Next</button>';
    document.body.append(foot);
    const [back, next] = foot.querySelectorAll("button");
    const show = (to) => {
      now = Math.min(Math.max(to, 0), all.length - 1);
      all.forEach((slide, i) => slide.classList.toggle("now", i === now));
      foot.querySelector("span").textContent = `${now + 1} of ${all.length}`;
      history.replaceState(null, "", `${location.pathname}${location.search}#${now + 1}`);
    };
    const reveal = () => {
      const button = all[now].querySelector(".ldm-show");
      button ? button.click() : all[now].querySelectorAll("details[hidden]").forEach((part) => { part.hidden = false; });
    };
    back.addEventListener("click", () => show(now - 1));
    next.addEventListener("click", () => show(now + 1));
    addEventListener("hashchange", () => show(parseInt(location.hash.slice(1)) - 1 || 0));
    addEventListener("keydown", (event) => {
      if (event.target.closest("input, button, summary") && !["ArrowRight", "ArrowLeft"].includes(event.key)) return;
      if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        ArrowRight: () => show(now + 1), PageDown: () => show(now + 1), " ": () => show(now + 1),
        ArrowLeft: () => show(now - 1), PageUp: () => show(now - 1),
        Home: () => show(0), End: () => show(all.length - 1), r: reveal,
      }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
    document.documentElement.classList.add("turning");
    show(now);
  }

  document.readyState === "loading" ? addEventListener("DOMContentLoaded", start) : start();
})();
