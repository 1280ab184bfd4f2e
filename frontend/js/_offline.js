// Lets a visit be opened without a connection: keeps its page for that, without questions or answers, and what that page
// needs. The service worker (offline.js) shows it.
const WORKER = "/offline.js";
const SCOPES = ["/visit/", "/v/"];

const nameOf = (visit) => `visit ${visit}`;

// `address` of the page; `links`: hashes of the links in messages that lead to the visit.
export async function keepPage(visit, address, links) {
  if (!navigator.serviceWorker || !window.caches) return;
  try {
    const cache = await caches.open(nameOf(visit));
    if (!(await isCurrent(cache, address))) await cache.addAll([address, ...neededHere()]);
    for (const link of links) await cache.put(`/v/${link}`, Response.redirect(`/visit/${visit}/`));
    for (const scope of SCOPES) await navigator.serviceWorker.register(WORKER, { scope });
  } catch {
    // Without room, or in a private window, there is no page without a connection; all else works.
  }
}

export async function forgetPage(visit) {
  await window.caches?.delete(nameOf(visit));
}

// A new release has other names; the reader may have chosen another language.
async function isCurrent(cache, address) {
  const found = await Promise.all([address, ...neededHere()].map((each) => cache.match(each)));
  return found.every(Boolean) && (await found[0].text()).includes(`<html lang="${document.documentElement.lang}"`);
}

function neededHere() {
  const elements = document.querySelectorAll("link[rel=stylesheet], link[rel=icon], script[src]");
  return [...elements].map((element) => element.href ?? element.src);
}
