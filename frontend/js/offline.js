// Service worker of the patient's pages: where there is no connection, it shows the page that the phone keeps of a visit,
// which goes on with the questions that are encrypted in the phone's store (see _offline.js). It stores nothing itself.
const PATIENCE_MS = 8000; // a page that takes longer counts as none
const LINK = /^\/v\/([\w-]+)$/; // of a message
const VISIT = /^\/visit\/[^/]+\//;

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(page(request, pathname));
  else if (pathname.startsWith("/assets/")) event.respondWith(asset(request));
});

async function asset(request) {
  return (await caches.match(request)) ?? fetch(request);
}

async function page(request, pathname) {
  const kept = await keptPage(pathname);
  if (!kept) return fetch(request);
  return (await fromServer(request)) ?? kept;
}

// A link in a message is known by its hash alone, with which the visit cannot be opened.
async function keptPage(pathname) {
  const token = pathname.match(LINK)?.[1];
  if (token) return caches.match(`/v/${await sha256(token)}`);
  const visit = pathname.match(VISIT)?.[0];
  return visit && caches.match(`${visit}offline`);
}

// Returns undefined where there is no connection, or something else than our server answers.
async function fromServer(request) {
  const reply = await Promise.race([reach(request), request.method === "GET" ? patience() : new Promise(() => {})]);
  if (reply?.type === "opaqueredirect") return reply;
  return reply?.status < 500 && reply.headers.has("Content-Security-Policy") ? reply : undefined;
}

async function reach(request) {
  try {
    return await fetch(request);
  } catch {
    return undefined;
  }
}

function patience() {
  return new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
}

async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
