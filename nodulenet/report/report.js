"use strict";
// On paper nothing is folded away.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});

// The gallery: which cards are shown, and in which order. Without this script all are shown.
const form = document.getElementById("filters");
if (form) {
  const list = document.getElementById("cards");
  const cards = [...list.children];
  const field = (name) => form.elements[name];
  // What a card lacks counts as 0: the probability where no mark is, a size or level not given.
  const value = (card, name) => Number(card.dataset[name] || 0);
  const within = (card, name) => {
    const low = field(name + "-from").value, high = field(name + "-to").value;
    return (low === "" || value(card, name) >= Number(low)) && (high === "" || value(card, name) <= Number(high));
  };
  const wanted = (card) => {
    const kinds = field("kind").value, level = field("level").value;
    return (!kinds || kinds.split(" ").includes(card.dataset.kind))
      && (!level || (card.dataset.level || "none") === level)
      && within(card, "diameter") && within(card, "probability");
  };
  const update = () => {
    const [key, direction] = field("sort").value.split(" ");
    const order = (a, b) => direction * (value(a, key) - value(b, key)) || value(a, "place") - value(b, "place");
    for (const card of cards) card.hidden = !wanted(card);
    list.append(...[...cards].sort(order));
    list.classList.toggle("plain", !field("outlines").checked);
    const shown = cards.filter((card) => !card.hidden).length;
    form.querySelector("output").textContent = shown + " of " + cards.length + " shown";
  };
  form.addEventListener("input", update);
  form.querySelector("[type=reset]").addEventListener("click", (event) => {
    event.preventDefault();
    form.reset();
    update();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
}
