import { ignoreTaps, takeTaps } from "./_tapping.js";

// On a device of the clinic an untouched visit ends by itself, a minute after the page has said so: the patient
// may have put the device down, and another one may take it up.
const IDLE_MS = 600000;
const WARNING_MS = 60000;

export function leaveWhenIdle(finish, place, leave) {
  if (!finish.dataset.idle) return;
  const notice = Object.assign(document.createElement("p"), { className: "notice", role: "alert", textContent: finish.dataset.idle });
  let timer;
  const warn = () => {
    place.after(notice);
    ignoreTaps(); // the one that says "still here" answers nothing
    timer = window.setTimeout(leave, WARNING_MS);
  };
  const restart = () => {
    if (notice.isConnected) takeTaps();
    notice.remove();
    window.clearTimeout(timer);
    timer = window.setTimeout(warn, IDLE_MS);
  };
  for (const sign of ["pointerdown", "keydown"]) document.addEventListener(sign, restart, { passive: true });
  restart();
}
