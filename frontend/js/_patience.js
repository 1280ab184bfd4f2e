// Patience with what may never come.

// Returns what the promise gives, undefined where it takes longer.
export function within(promise, milliseconds) {
  return Promise.race([promise, new Promise((resolve) => window.setTimeout(resolve, milliseconds))]);
}

// Waits for a while.
export function pause(milliseconds) {
  return new Promise((resolve) => window.setTimeout(resolve, milliseconds));
}
