// Adaptive tests: the server chooses each of their questions. Without a connection a fixed form is asked in place of one,
// and once that was begun, to its end.

const instrumentOf = (name) => name.split(".")[0];

// Returns whether the server would ask something else than this question, if it could be reached.
function isForOffline(loaded, item) {
  const form = instrumentOf(item.name);
  return item.instead_of && !Object.keys(loaded.answers).some((name) => instrumentOf(name) === form);
}

// Returns the position from which on the server shows the pages, as long as it can be reached; 0 for none.
export function firstForOffline(loaded) {
  return loaded.items.findIndex((item) => isForOffline(loaded, item)) + 1;
}

// Returns whether a form can be asked in place of the test of this question.
export function hasForm(loaded, name) {
  return loaded.items.some((item) => item.instead_of === instrumentOf(name) && isForOffline(loaded, item));
}

// Returns whether the server has to choose what follows this question.
export function isChosen(loaded, name) {
  const item = loaded.items[loaded.positions[name] - 1];
  return !item || item.is_chosen;
}
