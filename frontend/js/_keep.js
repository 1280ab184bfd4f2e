// Keeps an answer while there is no connection, and retries. Without scripts the browser posts the same form.
// The URL of the form takes the answer and returns the next URL. Saving is idempotent, so a retry is safe.
const RETRY_MS = 5000;
let newest; // what was sent last, since another answer may be chosen while one waits

export function keepAnswers() {
  const form = document.querySelector("form[data-keep]");
  if (!form || !window.fetch) return;
  restore(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const data = new FormData(form);
    if (event.submitter?.name) data.append(event.submitter.name, event.submitter.value);
    remember(form, data.get("answer"));
    if (form.dataset.keep) {
      data.append("given_at", Date.now());
      data.append("sequence", count(form));
    }
    newest = data;
    send(form, data);
  });
}

// While an answer waits for a connection, the first press of "Finished on this device" says so and does nothing else.
export function warnOfUnsent() {
  const finish = document.querySelector("form[data-unsent]");
  finish?.addEventListener("submit", (event) => {
    const waiting = document.querySelector("form[data-keep] [role=status]");
    if (!waiting || finish.dataset.warned) return;
    event.preventDefault();
    finish.dataset.warned = "yes";
    delete finish.dataset.sent; // see sendOnce
    event.submitter?.removeAttribute("aria-disabled");
    waiting.textContent = finish.dataset.unsent;
  });
}

// A page that says the visit is finished on this device names the visit whose answers are to be forgotten.
export function forgetVisit() {
  const prefix = document.querySelector("[data-forget]")?.dataset.forget;
  if (!prefix) return;
  for (const name of Object.keys(sessionStorage)) {
    if (name.startsWith(prefix)) sessionStorage.removeItem(name);
  }
}

async function send(form, data) {
  let answer;
  if (data !== newest) return;
  data.set("sent_at", Date.now()); // of the two moments the server uses the difference: this clock may be wrong
  try {
    answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(data),
      headers: { "X-Requested-With": "fetch" },
    });
  } catch {
    if (data !== newest) return;
    showWaiting(form);
    allowAnother(form);
    window.setTimeout(() => send(form, data), RETRY_MS);
    return;
  }
  if (data !== newest) return;
  if (answer.ok && answer.headers.get("Content-Type")?.startsWith("application/json")) {
    forget(form);
    location.assign((await answer.json()).next);
  } else {
    // The reply is a page that the patient must read, such as an error: let the browser post the form and show it.
    postByBrowser(form, data);
  }
}

// See sendOnce: the answer that waits may be changed.
function allowAnother(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
}

function postByBrowser(form, data) {
  forget(form); // the page that comes has the answer, or a form in which it waits
  for (const [name, value] of data) {
    const known = form.elements[name];
    if (known && !(known instanceof HTMLButtonElement)) continue; // submit() leaves out the button that was pressed
    const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
    form.append(field);
  }
  form.submit();
}

function showWaiting(form) {
  if (form.querySelector("[role=status]")) return;
  const notice = document.createElement("div");
  notice.className = "notice";
  notice.setAttribute("role", "status");
  form.append(notice);
  // The text is set after the element is in the page, so that screen readers announce it.
  window.setTimeout(() => (notice.textContent = form.dataset.waiting), 100);
}

// Numbers the answers of this tab to a visit, so that of two in the same moment the later one counts.
function count(form) {
  const name = `${form.dataset.keep.split(".")[0]}.count`;
  const number = Number(sessionStorage.getItem(name)) + 1;
  sessionStorage.setItem(name, number);
  return number;
}

// sessionStorage belongs to this tab and ends with it, so that no other user of the device sees the answer.
function remember(form, value) {
  if (form.dataset.keep && value) sessionStorage.setItem(form.dataset.keep, value);
}

function restore(form) {
  const value = form.dataset.keep && sessionStorage.getItem(form.dataset.keep);
  const option = value && form.querySelector(`input[name="answer"][value="${CSS.escape(value)}"]`);
  if (option) option.checked = true;
}

function forget(form) {
  if (form.dataset.keep) sessionStorage.removeItem(form.dataset.keep);
}
