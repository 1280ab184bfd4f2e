// One tap a question: a tap on an answer saves it and goes on. Arrow keys only choose, since they pass answers on their
// way. A switch on the page turns it off, which this browser remembers.
import { recall, remember } from "./_remembered.js";

const NAME = "tap";
const OFF = "off";
const PAUSE_MS = 400; // after a change of screen no tap counts: it was meant for what was there before
let resumes; // timer
let ignoresAll = false;

// To be called after each change of screen, and where a line above the question comes or goes, which moves the answers.
export function pauseTaps() {
  if (ignoresAll) return;
  window.clearTimeout(resumes);
  document.querySelector("main").classList.add("is-changing");
  resumes = window.setTimeout(() => document.querySelector("main").classList.remove("is-changing"), PAUSE_MS);
}

export function ignoreTaps() {
  pauseTaps();
  window.clearTimeout(resumes);
  ignoresAll = true;
}

export function takeTaps() {
  ignoresAll = false;
  pauseTaps();
}

// `form` is one that can go on by itself: below some questions there is more to fill in.
export function goOnByTap() {
  document.addEventListener("click", (event) => {
    const form = event.target.closest?.("form[data-tap]");
    if (!form || event.target.name !== "answer") return;
    const isByKey = event.detail === 0;
    if (!isByKey && isOn()) form.requestSubmit(form.querySelector("[data-save]"));
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-tap-switch] input")) remember(NAME, event.target.checked ? "on" : OFF);
  });
  showSwitch();
}

// To be called for each question that is shown.
export function showSwitch() {
  const line = document.querySelector("[data-tap-switch]");
  if (!line) return;
  line.hidden = false;
  line.querySelector("input").checked = isOn();
}

function isOn() {
  return recall(NAME) !== OFF;
}
