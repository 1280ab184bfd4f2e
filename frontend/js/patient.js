import { answerHere } from "./_answering.js";
import { applyDisplay } from "./_display.js";
import { focusErrors, sendOnce } from "./_forms.js";
import { offerReading } from "./_reading.js";
import { pauseTaps } from "./_tapping.js";

document.body.classList.add("govuk-frontend-supported");
applyDisplay();
focusErrors();
sendOnce();
pauseTaps();
offerReading();
answerHere();
