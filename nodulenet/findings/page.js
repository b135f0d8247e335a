"use strict";
function show(figure) {
  const range = figure.querySelector("input");
  const last = Number(range.max);
  const place = "0 " + (last ? 100 * range.value / last : 0) + "%";
  for (const layer of figure.querySelectorAll(".slices div")) layer.style.backgroundPosition = place;
  const number = Number(range.dataset.number) + range.value * range.dataset.by;
  const z = Number(range.dataset.z) + range.value * range.dataset.step;
  figure.querySelector("output").textContent = (number > 0 ? number + ", " : "") + "z " + z.toFixed(1) + " mm";
}
for (const figure of document.querySelectorAll("figure.finding")) {
  figure.querySelector("input").addEventListener("input", () => show(figure));
  figure.querySelector(".slices").addEventListener("wheel", (event) => {
    event.preventDefault();
    figure.querySelector("input").valueAsNumber -= Math.sign(event.deltaY);
    show(figure);
  }, { passive: false });
  show(figure);
}
document.getElementById("outlines").addEventListener("change", (event) => {
  for (const layer of document.querySelectorAll(".outline")) layer.hidden = !event.target.checked;
});
