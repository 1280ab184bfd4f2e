import { focusErrors, sendOnce } from "./_forms.js";
import { keepAnswers } from "./_keep.js";

document.body.classList.add("govuk-frontend-supported");
focusErrors();
sendOnce();
keepAnswers();
