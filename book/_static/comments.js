// The button for readers' comments: only when it is pressed is the service asked for anything.
(() => {
  "use strict";
  for (const button of document.querySelectorAll(".ldm-comments button")) {
    button.addEventListener("click", () => {
      window.hypothesisConfig = () => ({ openSidebar: true });
      const script = Object.assign(document.createElement("script"), { src: button.dataset.from, async: true });
      script.addEventListener("error", () => { script.remove(); button.disabled = false; button.textContent = "It did not answer; try again"; });
      script.addEventListener("load", () => button.parentElement.remove());
      button.disabled = true;
      document.head.append(script);
    });
  }
})();
