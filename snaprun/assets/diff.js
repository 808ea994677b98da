"use strict";
const changes = [...document.querySelectorAll(".change")];
let here = -1;
function go(step) {
  if (!changes.length) return;
  if (here >= 0) changes[here].classList.remove("here");
  here = (here + step + changes.length) % changes.length;
  changes[here].classList.add("here");
  changes[here].scrollIntoView({ block: "center" });
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
  if (event.key === "n" || event.key === "j") go(1);
  if (event.key === "p" || event.key === "k") go(here < 0 ? 0 : -1);
  if (event.key === "e") document.querySelectorAll("details").forEach((one) => { one.open = !one.open; });
});
for (const picture of document.querySelectorAll(".picture")) {
  const tools = document.createElement("div");
  tools.className = "tools";
  for (const mode of ["side", "overlay", "blink"]) {
    const button = document.createElement("button");
    button.textContent = mode === "side" ? "side by side" : mode;
    button.addEventListener("click", () => {
      picture.classList.toggle("overlay", mode !== "side");
      picture.classList.toggle("blink", mode === "blink");
    });
    tools.append(button, " ");
  }
  const mix = document.createElement("input");
  mix.type = "range";
  mix.min = "0";
  mix.max = "1";
  mix.step = "0.01";
  mix.setAttribute("aria-label", "how much of B is seen");
  mix.addEventListener("input", () => {
    picture.classList.add("overlay");
    picture.classList.remove("blink");
    picture.style.setProperty("--mix", mix.value);
  });
  tools.append(mix);
  picture.prepend(tools);
}
