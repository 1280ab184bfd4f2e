"""Forms of the patient pages other than items: birth date, snooze ("not today"), preferences, and unsubscribing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from typing import Any

import wtforms
from flask_babel import format_date, format_time, gettext, lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms.validators import InputRequired, Length, ValidationError

from pro_tracker import clock
from pro_tracker.domain.channels import AddressKind, Channel, address_kind
from pro_tracker.domain.goal_attainment import MAX_LENGTH, Attainment
from pro_tracker.domain.snooze_codes import SnoozeReason
from pro_tracker.languages import direction, own_name, patient_languages
from pro_tracker.services.answering.snoozes import Choice
from pro_tracker.services.contacts.preferences import Preferences
from pro_tracker.web import typed_dates
from pro_tracker.web.answering import one_line
from pro_tracker.web.fields import DateInputField

library: Any = wtforms  # its published types are older than SelectChoice and invalid_choice_message
CHANNELS = {AddressKind.EMAIL: _("E-mail"), AddressKind.TELEPHONE: _("Text message")}
SNOOZE_REASONS = {
    SnoozeReason.PAIN: _("Too much pain"),
    SnoozeReason.TIRED: _("Too tired"),
    SnoozeReason.NO_TIME: _("No time"),
    SnoozeReason.OTHER: _("Something else"),
}


class VisitForm(FlaskForm):  # type: ignore[misc]
    """A form of one visit. Its token is checked by current.py, so it has none of Flask-WTF's."""

    class Meta:
        csrf = False


class BirthDateField(DateInputField):
    """A date of birth as patients type it, with day and month in the order of the place where they live."""

    MONTH_FIRST = ("month", "day", "year")
    DAY_FIRST = ("day", "month", "year")
    WIDTHS = {"day": 2, "month": 4, "year": 4}  # noqa: RUF012
    MAX_LENGTHS = dict.fromkeys(MONTH_FIRST, 24)  # "September" can be typed, and a whole date pasted
    NO_DATE = _("Enter your date of birth with month, day and year, such as March 27, 1975.")

    def use_order(self, parts: tuple[str, str, str]) -> None:
        """Sets the order of the boxes, in which a whole date in one of them is read."""
        self.PARTS = parts
        if self.raw_data:
            self._set_data()

    @property
    def is_month_first(self) -> bool:
        return self.PARTS == self.MONTH_FIRST

    def _date(self) -> date | None:
        given = self.raw_data or []
        if len(given) == 1:
            whole = typed_dates.parts_of_whole(given[0], self.PARTS)
            self.parts = whole or self.parts
        day = typed_dates.read_day(self.parts["day"])
        month = typed_dates.read_month(self.parts["month"])
        year = typed_dates.read_past_year(self.parts["year"], clock.now().date())
        if day is None or month is None:
            # A name in the box of the day: the two were typed in the other order.
            day = typed_dates.read_day(self.parts["month"])
            month = typed_dates.read_month(self.parts["day"])
        if year is None or month is None or day is None:
            return None
        if month > 12 >= day:  # there is no such month, so the order is clear
            day, month = month, day
        try:
            return date(year, month, day)
        except ValueError:
            return None


class BirthDateForm(VisitForm):
    """Asks for the birth date, which protects drafts and earlier answers in addition to the link."""

    birth_date = BirthDateField(
        _("What is your date of birth?"), [InputRequired(_("Enter your date of birth."))], autocomplete="bday"
    )

    def __init__(self, time_zone: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        month_first = typed_dates.is_month_first(time_zone)
        self.birth_date.use_order(BirthDateField.MONTH_FIRST if month_first else BirthDateField.DAY_FIRST)


class SnoozeForm(VisitForm):
    """Asks when to send the next message. Values are dates, so that "tomorrow" means the same day after midnight."""

    until_on = library.RadioField(_("When should we ask you again?"), validate_choice=False)
    possible: Collection[str] = ()

    def offer(self, choices: Iterable[Choice], chosen: date | None) -> None:
        """Sets the choices. The day `chosen` before is valid too, since a double tap sends it again."""
        days = {each.until_on.isoformat(): _day(each) for each in choices}
        self.until_on.choices = _choices(days.items())
        self.possible = {*days, *([chosen.isoformat()] if chosen else [])}

    def validate_until_on(self, field: Any) -> None:
        if field.data not in self.possible:
            raise ValidationError(gettext("Choose a day."))


class NotTodayForm(VisitForm):
    """Asks why not today. Each reason is a button that sends the form, so none can be chosen beforehand."""

    reason = library.StringField(_("Why not today?"))

    def validate_reason(self, field: Any) -> None:
        if field.data not in {*SnoozeReason}:
            raise ValidationError(gettext("Nothing was changed yet. Tap one of the reasons, please."))


class PatientPreferencesForm(VisitForm):
    """Asks for the channel, hour and language of messages. Fields have the names of those of Preferences."""

    preferred_channel = library.RadioField(_("How should we write to you?"), invalid_choice_message=_("Choose one."))
    message_time = library.RadioField(_("At what time of day?"), invalid_choice_message=_("Choose a time of day."))
    language = library.RadioField(_("In which language?"), invalid_choice_message=_("Choose a language."))

    def offer(self, now: Preferences, *, channels: Sequence[Channel], hours: Iterable[time], usual: time) -> None:
        """Sets the choices. A single channel is not offered as a choice; an hour that staff entered is offered too."""
        if len(channels) < 2:
            del self.preferred_channel
        else:
            self.preferred_channel.choices = _choices(
                (channel, CHANNELS[address_kind(channel)]) for channel in channels
            )
        own = {now.message_time} if now.message_time else set()
        named = [("", gettext("Any time is fine (usually %(time)s)", time=_clock(usual)))]
        named += [(each.isoformat("minutes"), _clock(each)) for each in sorted({*hours, *own})]
        self.message_time.choices = _choices(named)
        # A screen reader says each name in its own language.
        self.language.choices = [
            library.SelectChoice(code, own_name(code), {"lang": code, "dir": direction(code)})
            for code in patient_languages()
        ]

    def chosen(self, now: Preferences) -> Preferences:
        """Returns the preferences `now` with the submitted choices applied."""
        at = self.message_time.data
        channel = Channel(self.preferred_channel.data) if self.preferred_channel else now.preferred_channel
        hour = time.fromisoformat(at) if at else None
        return replace(now, preferred_channel=channel, message_time=hour, language=self.language.data)


class CodeForm(VisitForm):
    """Asks for the short code of a printed card."""

    code = library.StringField(_("Your code"), [InputRequired(_("Enter the code on your card."))])

    def refuse(self) -> None:
        """Adds the error of a code that is not known."""
        self.code.errors = [gettext("We do not know this code. Check each letter, please, or call your clinic.")]


class GoalForm(VisitForm):
    """Asks for a goal in the patient's own words. Its data is one line."""

    text = library.StringField(
        _("What would you most like to be able to do?"),
        [
            InputRequired(_("Write your goal in a few words.")),
            Length(max=MAX_LENGTH, message=_("Write at most 200 characters.")),
        ],
        filters=[one_line],
        description=_("For example: walk to the store, or play with my grandchildren."),
    )


class GoalRatingForm(VisitForm):
    """Asks how it is going with the goal, in steps around what was expected; none is chosen beforehand."""

    attainment = library.RadioField(
        _("Compared with what you expected, how is it going with your goal?"),
        invalid_choice_message=_("Choose how it is going with your goal."),
    )

    def __init__(self, steps: Mapping[Attainment, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        by_code = {}
        for step, words in steps.items():
            by_code[str(int(step))] = words
        self.attainment.choices = _choices(by_code.items())


class UnsubscribeForm(VisitForm):
    """Asks for a confirmation by checkbox, since some mail scanners press every button that they find."""

    sure = library.BooleanField(
        _("I want no more e-mails about these questions"),
        [InputRequired(_("Tick the box if you want no more e-mails."))],
    )


def _choices(labels: Iterable[tuple[str, Any]]) -> list[Any]:
    return [library.SelectChoice(code, label) for code, label in labels]


def _day(choice: Choice) -> str:
    day = format_date(choice.until_on, "full")
    if choice.days == 1:
        return str(gettext("Tomorrow, %(date)s", date=day))
    return str(gettext("In %(num)d days, %(date)s", num=choice.days, date=day))


def _clock(at: time) -> str:
    return str(format_time(at, "short", rebase=False))
