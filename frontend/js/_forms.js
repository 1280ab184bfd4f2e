// What every page with a form shares: the error summary takes the focus, and one press of a button sends one form.
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
    // Not `disabled`: a disabled button's name and value are left out of the form, and the focus is lost.
    event.submitter?.setAttribute("aria-disabled", "true");
  }, true);
  // Back from the browser's page cache: the form may be sent again.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.forms) delete form.dataset.sent;
    for (const button of document.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  });
}
