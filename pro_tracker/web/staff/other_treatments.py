"""Pages that record, correct and void treatments alongside the infusions, and liver tests."""

from flask_babel import lazy_gettext as _

from pro_tracker.services.treatment.liver_tests import LIVER_TESTS
from pro_tracker.services.treatment.other_treatments import OTHER_TREATMENTS
from pro_tracker.web.staff.forms import other_treatment_forms as forms
from pro_tracker.web.staff.forms.void_form import RowVoidForm
from pro_tracker.web.staff.row_pages import RowForms, RowPages, RowTexts

RowPages(
    rows=OTHER_TREATMENTS,
    name="other_treatment",
    section="other-treatments",
    id_name="treatment_id",
    day="asked_on",
    forms=RowForms(
        forms.OtherTreatmentForm, forms.OtherTreatmentCorrectionForm, RowVoidForm, forms.treatment_as_recorded
    ),
    texts=RowTexts(
        recorded=_("The other treatment is recorded."),
        corrected=_("The other treatment is corrected."),
        voided=_("The other treatment is marked as entered in error."),
        gone=_("This treatment was entered in error. The patient's page says when and why."),
    ),
    voiding=("other-treatment.correct", "other-treatment.void"),
).register()
RowPages(
    rows=LIVER_TESTS,
    name="liver_test",
    section="liver-tests",
    id_name="test_id",
    day="taken_on",
    forms=RowForms(forms.LiverTestForm, forms.LiverTestCorrectionForm, RowVoidForm, forms.test_as_recorded),
    texts=RowTexts(
        recorded=_("The liver tests are recorded."),
        corrected=_("The liver tests are corrected."),
        voided=_("The liver tests are marked as entered in error."),
        gone=_("These liver tests were entered in error. The patient's page says when and why."),
    ),
    voiding=("liver-test.correct", "liver-test.void"),
).register()
