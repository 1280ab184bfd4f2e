// Choices about the display that this browser remembers; a browser that stores nothing forgets them with the page.
const unstored = new Map();

export function recall(name) {
  try {
    return window.localStorage.getItem(name) ?? unstored.get(name) ?? "";
  } catch {
    return unstored.get(name) ?? "";
  }
}

export function remember(name, value) {
  unstored.set(name, value);
  try {
    window.localStorage.setItem(name, value);
  } catch {
    // Blocked by the browser's settings.
  }
}
