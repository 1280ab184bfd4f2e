// Larger text and higher contrast on this browser, by the buttons of a visit's first page.
import { recall, remember } from "./_remembered.js";

const NAME = "display";
const CHOICES = ["large", "contrast"];

export function applyDisplay() {
  const chosen = chosenHere();
  for (const choice of CHOICES) document.documentElement.classList.toggle(`is-${choice}`, chosen.includes(choice));
  const buttons = document.querySelector("[data-display]");
  if (!buttons) return;
  buttons.hidden = false;
  buttons.addEventListener("click", (event) => event.target.value && toggle(event.target.value, buttons));
  showState(buttons);
}

function toggle(choice, buttons) {
  const chosen = chosenHere();
  const next = chosen.includes(choice) ? chosen.filter((each) => each !== choice) : [...chosen, choice];
  remember(NAME, next.join(" "));
  document.documentElement.classList.toggle(`is-${choice}`, next.includes(choice));
  showState(buttons);
}

function showState(buttons) {
  const chosen = chosenHere();
  for (const button of buttons.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(chosen.includes(button.value)));
  }
}

function chosenHere() {
  return recall(NAME).split(" ").filter(Boolean);
}
