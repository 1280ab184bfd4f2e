// Keeps an answer through a bad connection. Without a script the same form posts itself; nothing here is needed for that.
// The form's own address takes the answer, says where to go on, and may be sent twice: saving is safe to repeat.
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
    sayWaiting(form);
    window.setTimeout(() => send(form, data), RETRY_MS);
    return;
  }
  if (answer.ok && answer.headers.get("Content-Type")?.startsWith("application/json")) {
    forget(form);
    location.assign((await answer.json()).next);
  } else {
    // Something the person must read: let the browser post the form itself and show the page.
    postPlainly(form, data);
  }
}

function postPlainly(form, data) {
  for (const [name, value] of data) {
    if (form.elements[name]) continue;
    const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
    form.append(field);
  }
  form.submit();
}

function sayWaiting(form) {
  if (form.querySelector("[role=status]")) return;
  const notice = document.createElement("div");
  notice.className = "notice";
  notice.setAttribute("role", "status");
  form.append(notice);
  // Set after it stands in the page, so that screen readers announce the change.
  window.setTimeout(() => (notice.textContent = form.dataset.waiting), 100);
}

// For this tab only, and gone with it: an answer is nobody else's business.
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
