// Answers a visit without waiting for the server: each answer is kept on the phone, sent behind the page, and the next
// question comes from the questions that were loaded once. Addresses and titles are those of the server's pages.
import { firstForOffline, hasForm, isChosen } from "./_adaptive.js";
import { endOnRequest, forgetFinished, hasEnded } from "./_ending.js";
import { allowAnother } from "./_forms.js";
import { guardForms, isReachable } from "./_guarding.js";
import { keepPage } from "./_offline.js";
import { following, sayWhereAnswersAre, showAdvice, showEnough, showError, showItem, showReview } from "./_pages.js";
import { noteAnswer } from "./_pace.js";
import { within } from "./_patience.js";
import { postForm, postUntilTaken } from "./_posting.js";
import { send, sendAll, sendSoon, startSending } from "./_sending.js";
import { goOnByTap, pauseTaps, showSwitch } from "./_tapping.js";
import { showReading } from "./_reading.js";
import { add, canKeep, countAnswers, isAnswer, keepQuestions, keptQuestions, waiting } from "./_store.js";

const PATIENCE_MS = 5000; // for the questions
const SOON_MS = 1500;
const STORE_MS = 3000; // a store that takes longer counts as none: some browsers keep it shut
const RETURNING = "returning"; // names the visit whose birth date is being asked for once more
const NEWS = "news"; // what the next page says at its top
const CLOSED = ["sent", "over", "held", "planned", "no-longer-asked"]; // states in which the server's page is right
const PAGES_OF_VISIT = ["review", "enough"];
const visit = location.pathname.match(/^\/visit\/([^/]+)\//)?.[1];
const base = `/visit/${visit}/`;
let questions; // promise of the questions; undefined where the server has to show each page
let standsIn = false; // the form of an adaptive test is on the screen, and not begun
let isSending = false; // the person has sent the visit here

export async function answerHere() {
  const notice = document.querySelector("[data-connection]");
  if (!notice) return;
  if (!visit || !(await within(canKeep(), STORE_MS))) return document.addEventListener("submit", repeat);
  forgetFinished(visit);
  guardForms(() => say(notice, notice.dataset.notDone));
  say(notice, sessionStorage.getItem(NEWS) ?? "");
  sessionStorage.removeItem(NEWS);
  endOnRequest(visit, notice, say);
  const offline = document.querySelector("[data-offline]"); // the page that the phone kept, shown without a connection
  const hasQuestion = offline ?? document.querySelector("form[data-keep]");
  if (hasQuestion) questions = within(load(), PATIENCE_MS + STORE_MS);
  startSending((ofVisit, news) => ofVisit === visit && showConnection(notice, news));
  if (!hasQuestion) return;
  document.addEventListener("submit", answer);
  goOnByTap();
  document.addEventListener("click", follow);
  window.addEventListener("popstate", () => show(location.pathname + location.search));
  const loaded = await questions;
  if (loaded && notice.dataset.offlinePage) keepPage(visit, notice.dataset.offlinePage, loaded.links);
  if (offline) showOffline(offline, loaded);
  else if (loaded?.waits) show(takeReturn() || isOpenedByLink() ? firstOpen(loaded) : location.pathname + location.search, base);
}

// Within the hours for which the birth date counts the questions go on here; later only what waits is said.
async function showOffline(page, loaded) {
  const address = location.pathname + location.search;
  if (loaded) return show(isShownHere(location.pathname) ? address : firstOpen(loaded));
  const n = await countAnswers(visit);
  const sentence = page.querySelector("[data-waiting]");
  if (n) sentence.textContent = sentence.dataset.waiting.replace("{n}", n);
  window.addEventListener("online", () => location.reload());
}

// The server's page does not know what waits here: after the birth date it begins with what was answered already.
function takeReturn() {
  const is_back = sessionStorage.getItem(RETURNING) === visit;
  sessionStorage.removeItem(RETURNING);
  return is_back;
}

// The server chose this page, and does not know what waits here; a page that was asked for by its address stays.
function isOpenedByLink() {
  const [opened] = performance.getEntriesByType("navigation");
  return opened?.type === "navigate" && opened.redirectCount > 0;
}

function firstOpen(loaded) {
  const left = loaded.items.findIndex((item) => !(item.name in loaded.answers));
  return left < 0 ? `${base}review` : `${base}item/${left + 1}`;
}

// In a telephone interview, and in a browser that keeps nothing, the answer waits in the page.
function repeat(event) {
  if (!event.target.matches("form[data-keep]")) return;
  event.preventDefault();
  repeatHere(event.target, event.submitter);
}

function repeatHere(form, submitter) {
  const notice = document.querySelector("[data-connection]");
  postUntilTaken(form, submitter, () => {
    say(notice, notice.dataset.stays);
    allowAnother(form);
  });
}

// A phone without room keeps nothing.
async function isKept(entry) {
  try {
    entry.number = await within(add(visit, entry), STORE_MS);
    return entry.number !== undefined;
  } catch {
    return false;
  }
}

async function load() {
  // First, since they may be sent while the questions come, whose answers lack them.
  const entries = (await waiting(visit)).filter(isAnswer);
  const found = await questionsNow();
  if (!found?.items.length || found.until < Date.now()) return undefined;
  found.seen = new Set(found.seen);
  found.base = base;
  found.token = document.querySelector("[name=csrf_token]").value;
  for (const entry of entries) found.answers[entry.item] = entry.value;
  for (const entry of entries) if ("free_text" in entry) found.free_texts[entry.item] = entry.free_text;
  found.waits = entries.length > 0;
  found.positions = Object.fromEntries(found.items.map((item, index) => [item.name, index + 1]));
  return found;
}

// Returns what the server says; what this phone kept, where the server takes long or does not answer.
async function questionsNow() {
  const fetched = fetchQuestions();
  const soon = await within(fetched, SOON_MS);
  return soon ?? (await keptQuestions(visit)) ?? fetched;
}

async function fetchQuestions() {
  const patience = new AbortController();
  const timer = window.setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    const reply = await fetch(`${base}questions`, { redirect: "error", signal: patience.signal });
    if (!reply.ok || !reply.headers.get("Content-Type")?.startsWith("application/json")) return undefined;
    const found = await reply.json();
    found.until = Date.now() + found.valid_for;
    await keepQuestions(visit, found);
    return found;
  } catch {
    return undefined;
  } finally {
    window.clearTimeout(timer);
  }
}

async function answer(event) {
  const form = event.target;
  if (!form.matches("form[data-keep]")) return;
  event.preventDefault();
  const loaded = await questions;
  const entry = entryOf(form, event.submitter);
  if (!loaded) return postHere(form, event.submitter, entry);
  if (entry.send) return sendVisit(form, entry);
  if (entry.value === undefined) return showError(form, loaded);
  // The answer to a question that the server chose goes to it at once. Without a connection it waits like any other.
  const needsServer = isChosen(loaded, entry.item);
  if (needsServer && (await postForm(form, event.submitter))) return;
  if (needsServer && !hasForm(loaded, entry.item)) return repeatHere(form, event.submitter);
  if (!(await isKept(entry))) return repeatHere(form, event.submitter);
  if (needsServer) allowAnother(form);
  loaded.answers[entry.item] = entry.value;
  if ("free_text" in entry) loaded.free_texts[entry.item] = entry.free_text;
  keepQuestions(visit, { ...loaded, seen: [...loaded.seen] }); // with the answers so far
  const next = pageAfter(loaded, entry.item, entry.value);
  noteAnswer();
  forgetSaved();
  const isOfServer = isFromServerOn(loaded, next);
  await show(next, needsServer ? null : `${base}${location.search}`);
  if (next.includes("/item/") && !isOfServer) sendSoon(visit, nameAt(loaded, next), entry);
  else send(visit);
}

// Without the questions the server shows the next page; an answer that does not reach it waits like any other.
async function postHere(form, submitter, entry) {
  const is_posted = await postForm(form, submitter);
  if (is_posted || (entry.value === undefined && !entry.send)) return;
  if (!(await isKept(entry))) return repeatHere(form, submitter);
  allowAnother(form);
  const news = await sendAll(visit);
  if (!news.failed) location.assign(base);
}

function entryOf(form, submitter) {
  const data = new FormData(form);
  const given = { given_at: Date.now(), value: valueOf(data, submitter) };
  if (!data.has("item")) return { ...given, send: true };
  const entry = { ...given, item: data.get("item"), asked_in: data.get("asked_in") };
  return data.has("free_text") ? { ...entry, free_text: data.get("free_text") } : entry;
}

function valueOf(data, submitter) {
  if (submitter?.name === "skip") return null;
  return data.has("answer") ? Number(data.get("answer")) : undefined;
}

function pageAfter(loaded, item, value) {
  const position = loaded.positions[item];
  if (!position) return firstForOffline(loaded) ? `${base}item/${firstForOffline(loaded)}` : base; // else no longer asked
  if (loaded.items[position - 1].advice[value]) return `${base}advice/${position}${location.search}`;
  return following(loaded, position, location.search);
}

function nameAt(loaded, address) {
  return loaded.items[Number(address.match(/item\/(\d+)/)?.[1]) - 1]?.name ?? "";
}

// A link to another page of the visit that this page can show by itself.
async function follow(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.metaKey || event.ctrlKey) return;
  const address = new URL(link.href);
  if (address.origin !== location.origin || !isShownHere(address.pathname)) return;
  event.preventDefault();
  if (await questions) await show(address.pathname + address.search);
  else location.assign(address);
}

function isShownHere(path) {
  return path.startsWith(base) && /^(item\/\d+|advice\/\d+|review|enough)$/.test(path.slice(base.length));
}

// Returns whether the server shows this question, as long as it can be reached: it chooses the questions from there on.
function isFromServerOn(loaded, address) {
  const first = firstForOffline(loaded);
  return first > 0 && Number(address.match(/item\/(\d+)/)?.[1]) >= first;
}

// Returns what to do where the server chooses the questions: go to its page, go on here, or nothing, since what the server
// said of the answers leads elsewhere.
async function whereToGo(online) {
  if (online === null) return "on";
  const { failed, is_taken = true } = await sendAll(visit);
  if (!failed && !is_taken) return "elsewhere";
  return !failed && (await isReachable()) ? "server" : "on";
}

// Shows a page of the visit, with its address if that is another one than now. `online`: the address of the server's page
// in its place, where the server chooses the questions; null if the server has just been out of reach.
async function show(address, online = address) {
  if (hasEnded()) return;
  const loaded = await questions;
  standsIn = false;
  if (loaded && isFromServerOn(loaded, address)) {
    const where = await whereToGo(online);
    if (where === "elsewhere") return;
    if (where === "server") return location.assign(online);
    standsIn = true;
    address = `${base}item/${firstForOffline(loaded)}${new URL(address, location.href).search}`;
  }
  const { pathname, search } = new URL(address, location.href);
  const [, kind, number] = pathname.slice(base.length).match(/^(\w+)(?:\/(\d+))?$/) ?? [];
  const item = loaded?.items[number - 1];
  if (!loaded || loaded.until < Date.now() || !(item || PAGES_OF_VISIT.includes(kind))) return location.assign(address);
  if (kind === "advice" && !item.advice[loaded.answers[item.name]]) return show(following(loaded, Number(number), search));
  const main = document.querySelector("main");
  const n = (await within(countAnswers(visit), STORE_MS)) ?? 0;
  if (address !== location.pathname + location.search) history.pushState(null, "", address);
  if (kind === "review") showReview(main, loaded, n);
  else if (kind === "enough") showEnough(main, loaded, n);
  else if (kind === "advice") showAdvice(main, loaded, item, search);
  else showItem(main, loaded, item, search);
  rest(main);
}

// The page begins at its top, for eyes and for screen readers.
function rest(main) {
  showSwitch();
  showReading();
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
  pauseTaps();
}

// Only the server's word makes it sent: until then the page says what waits on this phone, and that it can be closed.
async function sendVisit(form, entry) {
  if (!(await isKept(entry))) return repeatHere(form);
  isSending = true;
  const news = await sendAll(visit);
  if (news.failed) allowAnother(form);
  else location.assign(news.state === "sent" ? `${base}sent` : base);
}

function showConnection(notice, { n, failed, state, outcomes = [], is_sent = false }) {
  const { unconfirmed, late, refused, saved } = notice.dataset;
  if (hasEnded()) return;
  sayWhereAnswersAre(n);
  const news = (outcomes.includes("late") && late) || (outcomes.includes("refused") && refused) || "";
  if (is_sent && state === "sent" && !location.pathname.endsWith("/sent")) return leave(`${base}sent`, news);
  if (questions && CLOSED.includes(state)) return leave(isSending && state === "sent" ? `${base}sent` : base, news);
  if (questions && !failed && !n && location.pathname.startsWith(`${base}advice/`)) return location.reload(); // with the call
  if (failed) sayWhatWaits(notice, n);
  else if (state === "unconfirmed" && questions) askBirthDate();
  else if (standsIn) leave(base, news);
  else if (state === "unconfirmed" && document.querySelector("[name^=birth_date]")) say(notice, unconfirmed.replace("{n}", n));
  else if (news) say(notice, news);
  else if (notice.textContent) say(notice, saved);
}

async function sayWhatWaits(notice, n) {
  const { waits, closable, stays } = notice.dataset;
  if (!isSending && n) return say(notice, waits.replace("{n}", n));
  const loaded = await questions;
  const sent = Object.keys(loaded?.answers ?? {}).length - n;
  say(notice, loaded ? closable.replace("{n}", n).replace("{sent}", sent) : stays);
}

// What was just given is not sent yet.
function forgetSaved() {
  const notice = document.querySelector("[data-connection]");
  if (notice.textContent === notice.dataset.saved) notice.replaceChildren();
}

function leave(address, news) {
  sessionStorage.setItem(NEWS, news);
  location.assign(address);
}

function askBirthDate() {
  sessionStorage.setItem(RETURNING, visit);
  location.assign(base);
}

function say(notice, text) {
  if (!text || notice.textContent === text) return;
  notice.replaceChildren(Object.assign(document.createElement("p"), { className: "notice small", textContent: text }));
  pauseTaps();
}
