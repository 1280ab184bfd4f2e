// The end of a visit on this device: by "Finished on this device", or because a device of the clinic lies untouched.
import { allowAnother } from "./_forms.js";
import { isReachable } from "./_guarding.js";
import { leaveWhenIdle } from "./_leaving.js";
import { pause } from "./_patience.js";
import { sendAll } from "./_sending.js";
import { forget, forgetShown, waiting } from "./_store.js";

const RETRY_MS = 3000;
let isEnding = false; // nothing more is shown here

export function hasEnded() {
  return isEnding;
}

// A page that says the visit is finished on this device names the visit whose answers are to be forgotten. A page that
// asks nothing more forgets what can be shown: what waits may still be sent.
export function forgetFinished(visit) {
  const finished = document.querySelector("[data-forget]")?.dataset.forget;
  if (finished) forget(finished);
  if (visit && document.querySelector("[data-forget-shown]")) forgetShown(visit);
}

// While answers wait for a connection, the first press of "Finished on this device" says so and does nothing else.
export function endOnRequest(visit, notice, say) {
  const finish = document.querySelector("form[data-unsent]");
  if (!finish) return;
  leaveWhenIdle(finish, notice, () => end(visit, finish, true));
  finish.addEventListener("submit", async (event) => {
    event.preventDefault();
    allowAnother(finish);
    await sendAll(visit);
    if (finish.dataset.warned || !(await waiting(visit)).length) return end(visit, finish, false);
    finish.dataset.warned = "yes";
    say(notice, finish.dataset.unsent);
  });
}

// Sends what waits. Returns false where the server does not take it: it is kept, and sent when the link is opened again.
async function isEmptied(visit) {
  for (; (await waiting(visit)).length; await pause(RETRY_MS)) {
    const news = await sendAll(visit);
    if (news.is_taken === false && !news.failed) return false;
  }
  return true;
}

async function keepRefused(visit, finish) {
  finish.append(Object.assign(document.createElement("input"), { type: "hidden", name: "refused" }));
  await forgetShown(visit);
}

// Nothing is shown from here on. The phone forgets the visit once nothing waits, or at once; the cookies go with the
// server's page, as soon as it can be reached.
async function end(visit, finish, isSendingFirst) {
  const gone = Object.assign(document.createElement("h1"), { textContent: finish.dataset.finished });
  document.querySelector("main").replaceChildren(gone);
  document.querySelector("header .govuk-back-link")?.remove();
  finish.hidden = true;
  isEnding = true;
  if (isSendingFirst && !(await isEmptied(visit))) await keepRefused(visit, finish);
  else await forget(visit);
  while (!(await isReachable())) await pause(RETRY_MS);
  finish.submit();
}
