// What this phone keeps of a visit: answers that wait to be sent, and the questions. All of it is encrypted under a key
// that no script can read, and that is deleted with the visit.
import { openDB } from "idb";

import { forgetPage } from "./_offline.js";

const ALGORITHM = { name: "AES-GCM", length: 256 };
let opened;

function database() {
  opened ??= openDB("visits", 1, {
    upgrade(db) {
      db.createObjectStore("keys");
      db.createObjectStore("questions");
      db.createObjectStore("answers", { keyPath: "number", autoIncrement: true }).createIndex("visit", "visit");
    },
  });
  return opened;
}

// Returns whether this browser can keep anything; private windows of some browsers cannot.
export async function canKeep() {
  if (!window.indexedDB || !window.crypto?.subtle) return false;
  try {
    await database();
    return true;
  } catch {
    return false;
  }
}

// Adds an entry and returns its number. Numbers grow in all tabs of the browser.
export async function add(visit, entry) {
  const key = await keyOf(visit);
  const sealed = await encrypt(key, entry);
  return (await database()).add("answers", { visit, ...sealed });
}

// Returns the entries of a visit that wait, oldest first, each with its number.
export async function waiting(visit) {
  const rows = await (await database()).getAllFromIndex("answers", "visit", visit);
  const key = await (await database()).get("keys", visit);
  if (!key) return [];
  return Promise.all(rows.map(async (row) => ({ number: row.number, ...(await decrypt(key, row)) })));
}

// How many questions have an answer that waits.
export async function countAnswers(visit) {
  return countItems(await waiting(visit));
}

// An answer that was changed waits twice; that the person has sent the visit may wait, too, and is no answer.
export function countItems(entries) {
  return new Set(entries.filter(isAnswer).map((entry) => entry.item)).size;
}

export function isAnswer(entry) {
  return "item" in entry;
}

export async function remove(numbers) {
  const transaction = (await database()).transaction("answers", "readwrite");
  await Promise.all([...numbers.map((number) => transaction.store.delete(number)), transaction.done]);
}

// Returns the visits of which answers wait.
export async function visitsWaiting() {
  const rows = await (await database()).getAll("answers");
  return [...new Set(rows.map((row) => row.visit))];
}

export async function keepQuestions(visit, questions) {
  const sealed = await encrypt(await keyOf(visit), questions);
  await (await database()).put("questions", sealed, visit);
}

export async function keptQuestions(visit) {
  const [row, key] = await Promise.all([
    (await database()).get("questions", visit),
    (await database()).get("keys", visit),
  ]);
  return row && key ? decrypt(key, row) : undefined;
}

// Forgets what can be shown of a visit: answers that wait stay, and are sent.
export async function forgetShown(visit) {
  await Promise.all([(await database()).delete("questions", visit), forgetPage(visit)]);
}

export async function forget(visit) {
  const transaction = (await database()).transaction(["keys", "questions", "answers"], "readwrite");
  transaction.objectStore("keys").delete(visit);
  transaction.objectStore("questions").delete(visit);
  const answers = transaction.objectStore("answers");
  for (const number of await answers.index("visit").getAllKeys(visit)) answers.delete(number);
  await Promise.all([transaction.done, forgetPage(visit)]);
}

async function keyOf(visit) {
  const known = await (await database()).get("keys", visit);
  if (known) return known;
  const fresh = await crypto.subtle.generateKey(ALGORITHM, false, ["encrypt", "decrypt"]);
  const transaction = (await database()).transaction("keys", "readwrite");
  const other = await transaction.store.get(visit); // of another tab, since the first look
  if (!other) await transaction.store.put(fresh, visit);
  await transaction.done;
  return other ?? fresh;
}

async function encrypt(key, value) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const text = new TextEncoder().encode(JSON.stringify(value));
  return { iv, data: await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, text) };
}

async function decrypt(key, { iv, data }) {
  return JSON.parse(new TextDecoder().decode(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, data)));
}
