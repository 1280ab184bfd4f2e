// Sends the answers that wait on this phone, and repeats that until the server says that it has them.
// Nothing relies on background sync, which iOS does not have: answers are sent at the start of every page, when the
// connection is back, when the page becomes visible, and by a timer.
import { countAnswers, countItems, forget, isAnswer, remove, visitsWaiting, waiting } from "./_store.js";

const PATIENCE_MS = 8000; // a request that hangs for longer counts as none
const RETRY_MS = [3000, 5000, 10000, 20000, 30000];
const MOST_AT_ONCE = 100;
const TOGETHER_MS = 60000; // answers are safe on the phone: sent in groups they cost it, and the server, a fraction
const TOGETHER = 12;
const running = new Map(); // visit -> promise
const failures = new Map(); // visit -> number of attempts in a row that failed
const latest = new Map(); // visit -> the news of the last attempt
const shown = new Map(); // visit -> name of the question on the screen
const OVER = ["sent", "over", "no-longer-asked"]; // states after which the phone keeps nothing of the visit
const timers = new Map(); // visit -> timer of the next group
const unsent = new Map(); // visit -> entries of this page that the server has not confirmed yet
const again = new Set(); // visits to which an answer was added while others were being sent
let tell = () => {};

// `listener(visit, news)` gets {n, failed, state, outcomes}: how many questions have answers that wait, whether the last attempt failed, and
// what the server said of the visit and of each answer.
export function startSending(listener) {
  tell = listener;
  const sendEach = async () => {
    for (const visit of await visitsWaiting()) send(visit);
  };
  window.addEventListener("online", sendEach);
  document.addEventListener("visibilitychange", () => (document.hidden ? sendLast() : sendEach()));
  window.addEventListener("pagehide", sendLast);
  sendEach();
}

// Sends all that waits of a visit, what is added on the way too. Returns the news of the last attempt.
export async function sendAll(visit) {
  do await send(visit);
  while (!latest.get(visit)?.failed && (await waiting(visit)).length && latest.get(visit)?.is_taken);
  return latest.get(visit) ?? {};
}

// Sends what waits of a visit with the next group; at once where there is no connection, so that the page says how many
// wait.
export async function sendSoon(visit, seen, entry) {
  shown.set(visit, seen);
  unsent.set(visit, [...(unsent.get(visit) ?? []), entry]);
  const isFull = (await countAnswers(visit)) >= TOGETHER;
  if (isFull || !navigator.onLine || latest.get(visit)?.failed) return send(visit);
  if (!timers.has(visit)) timers.set(visit, window.setTimeout(() => send(visit), TOGETHER_MS));
}

// Sends what waits of a visit, `seen` being the name of the question on the screen. Resolves after the attempt.
export function send(visit, seen = "") {
  if (seen) shown.set(visit, seen);
  window.clearTimeout(timers.get(visit));
  timers.delete(visit);
  if (running.has(visit)) {
    again.add(visit);
    recount(visit);
    return running.get(visit);
  }
  const sending = sendWaiting(visit).finally(() => {
    running.delete(visit);
    if (again.delete(visit)) send(visit);
  });
  running.set(visit, sending);
  return sending;
}

// While an attempt hangs, what was added since waits, too.
async function recount(visit) {
  const news = latest.get(visit);
  if (news?.failed) tell(visit, { ...news, n: await countAnswers(visit) });
}

async function sendWaiting(visit) {
  for (;;) {
    const batch = (await waiting(visit)).slice(0, MOST_AT_ONCE);
    if (!batch.length) return;
    const reply = await post(visit, batch);
    if (reply) await apply(visit, batch, reply);
    else retry(visit);
    const left = await waiting(visit);
    const n = countItems(left);
    latest.set(visit, { n, failed: !reply, is_sent: batch.some((entry) => entry.send), ...reply });
    tell(visit, latest.get(visit));
    if (!reply?.is_taken || !left.length) return;
  }
}

async function apply(visit, batch, reply) {
  failures.delete(visit);
  const numbers = batch.map((entry) => entry.number);
  if (reply.is_taken) {
    unsent.set(visit, (unsent.get(visit) ?? []).filter((entry) => !numbers.includes(entry.number)));
    await remove(numbers);
  }
  const nothingWaits = reply.state === "no-longer-asked" || !(await waiting(visit)).length;
  if (OVER.includes(reply.state) && nothingWaits) await forget(visit);
}

function retry(visit) {
  const before = failures.get(visit) ?? 0;
  failures.set(visit, before + 1);
  window.setTimeout(() => send(visit), RETRY_MS[Math.min(before, RETRY_MS.length - 1)]);
}

// A page that is left waits neither for its store nor for a reply: the entries stay on the phone until they are sent once
// more. WebKit keeps a transaction of a page that was left open, and with it the store of the next page shut.
function sendLast() {
  for (const [visit, batch] of unsent) {
    if (!batch.length) continue;
    navigator.sendBeacon?.(addressOf(visit), new Blob([bodyOf(visit, batch)], { type: "application/json" }));
    unsent.set(visit, []);
  }
}

function addressOf(visit) {
  return `/visit/${visit}/answers`;
}

function bodyOf(visit, batch) {
  const answers = batch.filter(isAnswer).map(({ number, ...entry }) => ({ ...entry, sequence: number }));
  const send = batch.some((entry) => entry.send);
  return JSON.stringify({ sent_at: Date.now(), answers, seen: shown.get(visit) ?? "", send });
}

// Returns the reply, or undefined where there is none of ours: no connection, a request that hangs, a server that is
// being restarted, the page of a hotel's network.
async function post(visit, batch) {
  const patience = new AbortController();
  const timer = window.setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    const reply = await fetch(addressOf(visit), {
      method: "POST",
      body: bodyOf(visit, batch),
      headers: { "Content-Type": "application/json" },
      redirect: "error",
      signal: patience.signal,
    });
    if (reply.status >= 500 || !reply.headers.get("Content-Type")?.startsWith("application/json")) return undefined;
    const { visit: state, outcomes } = await reply.json();
    return { is_taken: reply.ok, state, outcomes };
  } catch {
    return undefined;
  } finally {
    window.clearTimeout(timer);
  }
}
