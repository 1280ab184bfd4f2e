// Behaviour of every page with a form: the error summary gets the focus, and a double click sends a form once.
import { ErrorSummary } from "govuk-frontend/dist/govuk/components/error-summary/error-summary.mjs";

export function focusErrors() {
  const summary = document.querySelector('[data-module="govuk-error-summary"]');
  if (summary) new ErrorSummary(summary);
}

export function sendOnce() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    form.dataset.sent = "yes";
    // Not `disabled`: the form would leave out the name and value of a disabled button, and the focus would be lost.
    event.submitter?.setAttribute("aria-disabled", "true");
  }, true);
  // A page restored from the back/forward cache can send its form again.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.forms) allowAnother(form);
  });
}

// Lets a form be sent again.
export function allowAnother(form) {
  delete form.dataset.sent;
  for (const element of form.elements) element.removeAttribute("aria-disabled"); // those outside of it, too
}
