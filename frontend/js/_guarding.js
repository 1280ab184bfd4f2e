// Forms other than questions, such as the birth date or a consent: without a connection they stay on the page as they are,
// and the page says so. Their answer is a page of the server, so they cannot wait on the phone.
import { allowAnother } from "./_forms.js";

const PATIENCE_MS = 5000;

export function guardForms(say) {
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.method !== "post" || form.matches("[data-keep], [data-unsent]") || form.dataset.reached) return;
    event.preventDefault();
    const submitter = event.submitter;
    const is_reached = await isReachable();
    allowAnother(form);
    if (!is_reached) return say();
    form.dataset.reached = "yes";
    form.requestSubmit(submitter);
  });
}

// Returns whether our own server answers.
export async function isReachable() {
  const patience = new AbortController();
  const timer = window.setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    const reply = await fetch("/offline.js", { cache: "no-store", redirect: "error", signal: patience.signal });
    return reply.ok && reply.headers.has("Content-Security-Policy");
  } catch {
    return false;
  } finally {
    window.clearTimeout(timer);
  }
}
