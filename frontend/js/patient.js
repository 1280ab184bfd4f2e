import { answerHere } from "./_answering.js";
import { focusErrors, sendOnce } from "./_forms.js";

document.body.classList.add("govuk-frontend-supported");
focusErrors();
sendOnce();
answerHere();
