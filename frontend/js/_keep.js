// Keeps an answer while there is no connection, and retries. Without scripts the browser posts the same form.
// The URL of the form takes the answer and returns the next URL. Saving is idempotent, so a retry is safe.
const RETRY_MS = 5000;

export function keepAnswers() {
  const form = document.querySelector("form[data-keep]");
  if (!form || !window.fetch) return;
  restore(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const data = new FormData(form);
    if (event.submitter?.name) data.append(event.submitter.name, event.submitter.value);
    remember(form, data.get("answer"));
    send(form, data);
  });
}

async function send(form, data) {
  let answer;
  try {
    answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(data),
      headers: { "X-Requested-With": "fetch" },
    });
  } catch {
    showWaiting(form);
    window.setTimeout(() => send(form, data), RETRY_MS);
    return;
  }
  if (answer.ok && answer.headers.get("Content-Type")?.startsWith("application/json")) {
    forget(form);
    location.assign((await answer.json()).next);
  } else {
    // The reply is a page that the patient must read, such as an error: let the browser post the form and show it.
    postByBrowser(form, data);
  }
}

function postByBrowser(form, data) {
  for (const [name, value] of data) {
    if (form.elements[name]) continue;
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
