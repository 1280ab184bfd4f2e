import { focusErrors, sendOnce } from "./_forms.js";
import { forgetVisit, keepAnswers, warnOfUnsent } from "./_keep.js";

document.body.classList.add("govuk-frontend-supported");
focusErrors();
sendOnce();
keepAnswers();
forgetVisit();
warnOfUnsent();
