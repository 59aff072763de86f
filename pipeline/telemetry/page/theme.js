// Runs before the first paint, so that a chosen theme never flashes the other one.
(() => {
  const root = document.documentElement;
  const names = { auto: "as the system has them", light: "light", dark: "dark" };
  const kept = () => {
    try {
      return localStorage.getItem("headrace-theme");
    } catch {
      return null;
    }
  };
  const apply = (name) => {
    root.dataset.theme = name;
    const button = document.getElementById("theme");
    if (button) {
      button.textContent = name;
      button.setAttribute("aria-label", `Colours: ${names[name]}`);
    }
    document.dispatchEvent(new Event("theme"));
  };
  const chosen = kept();
  apply(chosen in names ? chosen : "auto");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(root.dataset.theme));
  document.addEventListener("DOMContentLoaded", () => {
    apply(root.dataset.theme);
    document.getElementById("theme").addEventListener("click", () => {
      const order = Object.keys(names);
      const next = order[(order.indexOf(root.dataset.theme) + 1) % order.length];
      try {
        localStorage.setItem("headrace-theme", next);
      } catch {
        // Storage may be forbidden; the choice then lasts as long as the page.
      }
      apply(next);
    });
  });
})();
