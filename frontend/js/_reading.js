// "Read it to me": the phone's own voice reads the question and its answers, in the language of their wording.
export function offerReading() {
  if (!window.speechSynthesis) return;
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-read]");
    if (button) readOrStop(button);
  });
  window.addEventListener("pagehide", () => speechSynthesis.cancel());
  showReading();
}

// To be called for each question that is shown.
export function showReading() {
  if (!window.speechSynthesis) return;
  speechSynthesis.cancel();
  for (const button of document.querySelectorAll("[data-read]")) button.hidden = false;
}

function readOrStop(button) {
  const is_reading = button.getAttribute("aria-pressed") === "true";
  speechSynthesis.cancel();
  button.setAttribute("aria-pressed", String(!is_reading));
  if (is_reading) return;
  const question = document.querySelector("form[data-keep] fieldset");
  const parts = question.querySelectorAll("legend .lead-in, legend .question, .scale-end, .govuk-radios__label");
  for (const part of parts) speak(part.textContent.trim(), question.lang);
  speak(" ", question.lang).onend = () => button.setAttribute("aria-pressed", "false");
}

function speak(text, language) {
  const spoken = new SpeechSynthesisUtterance(text);
  spoken.lang = language;
  speechSynthesis.speak(spoken);
  return spoken;
}
