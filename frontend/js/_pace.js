// Minutes that the questions still take, at the pace of the person who answers. Before a few answers the page's own
// estimate stays.
const FEWEST = 4; // answers
const LONGEST_MS = 60000; // a longer wait was a break
const intervals = [];
let last = Date.now();

export function noteAnswer() {
  const now = Date.now();
  if (now - last < LONGEST_MS) intervals.push(now - last);
  last = now;
}

// `sentences`: by number of minutes, from 1; the last one is for all that is longer.
export function showMinutesLeft(n_items, sentences) {
  const place = document.querySelector("[data-left]");
  if (!place || intervals.length < FEWEST) return;
  const sorted = [...intervals].sort((one, other) => one - other);
  const usual = sorted[Math.floor(sorted.length / 2)];
  const minutes = Math.max(1, Math.ceil((usual * n_items) / 60000));
  place.textContent = sentences[Math.min(minutes, sentences.length) - 1];
}
