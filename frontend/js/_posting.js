// Posts a form as the browser would, without leaving the page where there is no connection.
const PATIENCE_MS = 8000; // a request that hangs for longer counts as none
const RETRY_MS = 5000;
let newest; // what was posted last, since another answer may be chosen while one waits

// Repeats a form until the server has had it: for pages that keep nothing. `wait()` is called after each failure.
export async function postUntilTaken(form, submitter, wait) {
  const attempt = fieldsOf(form, submitter); // now: another answer may be chosen while this one waits
  newest = attempt;
  while (newest === attempt && !(await postForm(form, submitter, attempt))) {
    wait();
    await new Promise((resolve) => window.setTimeout(resolve, RETRY_MS));
  }
}

// Returns whether the server had the form: it goes on to the page that follows, or shows what it says.
export async function postForm(form, submitter, data = fieldsOf(form, submitter)) {
  data.set("sent_at", Date.now()); // of the two moments the server uses the difference: this clock may be wrong
  const reply = await post(form, data);
  if (!reply || reply.status >= 500) return false;
  if (reply.ok && reply.headers.get("Content-Type")?.startsWith("application/json")) {
    location.assign((await reply.json()).next);
  } else {
    postByBrowser(form, submitter); // the reply is a page that the patient must read, such as an error
  }
  return true;
}

function fieldsOf(form, submitter) {
  const data = new FormData(form);
  data.append("given_at", Date.now());
  if (submitter?.name) data.append(submitter.name, submitter.value);
  return data;
}

async function post(form, data) {
  const patience = new AbortController();
  const timer = window.setTimeout(() => patience.abort(), PATIENCE_MS);
  const headers = { "X-Requested-With": "fetch" };
  try {
    return await fetch(form.action, { method: "POST", body: new URLSearchParams(data), headers, signal: patience.signal });
  } catch {
    return undefined;
  } finally {
    window.clearTimeout(timer);
  }
}

function postByBrowser(form, submitter) {
  if (submitter?.name) {
    const { name, value } = submitter;
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value })); // submit() leaves it out
  }
  form.submit();
}
