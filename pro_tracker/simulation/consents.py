"""The consent of synthetic patients, where their protocol has a form: on paper at enrolment, or on their phone."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import NamedTuple

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.consent import ASKED_IN, ConsentForm, ConsentMode, ConsentOutcome, ConsentPurpose, ConsentState
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import consent_decisions, consent_states, patient_withdrawals
from pro_tracker.services.enrolment.consent_decisions import ConsentFacts, OwnWithdrawal
from pro_tracker.services.treatment import protocol_moves
from pro_tracker.services.wording import consent_forms
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.parameters import ConsentParameters
from pro_tracker.simulation.scenario import ConsentScenario, PatientScenario

PATIENT = Actor(ActorKind.PATIENT, "0")


def draw_consent(parameters: ConsentParameters, number: int, seed: int) -> ConsentScenario:
    """Draws how the patient with this number answers a form, from a stream of its own: the others stay the same."""
    random = Random(f"{seed}:{number}:consent")  # nosec B311  synthetic data, not secrets
    limits = parameters.days_to_agreement
    days = random.randint(limits.minimum, limits.maximum)
    return ConsentScenario(
        on_paper=random.random() < parameters.on_paper,
        is_earlier_version=random.random() < parameters.earlier_version,
        is_partial=random.random() < parameters.partial,
        declines=random.random() < parameters.declined,
        agrees_after=timedelta(days=days) if random.random() < parameters.agreed_later else None,
    )


class Decision(NamedTuple):
    """A decision of a person by the link of a visit, or when called about it."""

    subject: Subject
    visit_id: int
    mode: ConsentMode
    declines: bool


@dataclass
class SimulatedConsents:
    """The answers of all patients to consent forms. `protocol`: the one that most patients follow."""

    context: SimulationContext
    protocol: str

    def at_enrolment(self, scenario: PatientScenario, subject: Subject) -> None:
        """Records the paper of a subject who was enrolled just now, or schedules the decision on the phone."""
        versions = self._versions(scenario)
        if not versions:
            return
        consent = scenario.consent
        if consent.on_paper:
            form = versions[0] if consent.is_earlier_version else versions[-1]
            facts = self._agreement(scenario, form, ConsentMode.PAPER)
            self._record(subject, facts)
        elif consent.decides_after is not None:
            decide = partial(self._decide_by_link, scenario, subject.id, declines=consent.declines)
            self.context.queue.schedule(self.context.now + consent.decides_after, decide)

    def is_asked(self, scenario: PatientScenario, visit: VisitContext, mode: ResponseMode) -> bool:
        """Returns whether the patient comes to the questions of a visit; answers the form, if any, before them."""
        state = visit.consent_state
        if state in ASKED_IN:
            return True
        if state is ConsentState.DECLINED:
            return False
        is_first = state is ConsentState.NOT_ASKED
        declines = is_first and scenario.consent.declines
        subject = self.context.session.get_one(Subject, visit.person_id)
        decision = Decision(subject, visit.visit_id, _mode(mode), declines)
        self._decide(scenario, decision)
        return not declines

    def withdraw(self, scenario: PatientScenario, subject: Subject) -> bool:
        """Withdraws a patient who has a consent form on their own page; returns whether there is one."""
        if not self._versions(scenario):
            return False
        chosen = OwnWithdrawal(WithdrawalScope.ASKING, ConsentMode.OWN_DEVICE)
        patient_withdrawals.withdraw(self.context.session, PATIENT, subject, chosen, now=self.context.now)
        return True

    def _versions(self, scenario: PatientScenario) -> Sequence[ConsentForm]:
        name = scenario.protocol or self.protocol
        protocol = protocol_moves.protocol_named(name)
        if not protocol.consent:
            return ()
        return consent_forms.versions(protocol.consent)

    def _decide_by_link(self, scenario: PatientScenario, subject_id: uuid.UUID, *, declines: bool) -> None:
        """Lets the patient answer the form of an open visit; nothing without one, as the link leads nowhere then."""
        session = self.context.session
        mode = ConsentMode.OWN_DEVICE
        subject = session.get_one(Subject, subject_id)
        if not subject.takes_part or subject.merged_into_id is not None:
            return
        visit_id = consent_states.visit_for_copy(session, subject, mode, now=self.context.now)
        if visit_id is not None:
            self._decide(scenario, Decision(subject, visit_id, mode, declines))

    def _decide(self, scenario: PatientScenario, decision: Decision) -> None:
        """Records a decision; who declines may agree later."""
        form = self._form_of(decision.subject)
        if form is None:
            return
        if not decision.declines:
            facts = self._agreement(scenario, form, decision.mode)
            self._record(decision.subject, facts, decision.visit_id)
            return
        language = scenario.facts.language
        facts = ConsentFacts(form, ConsentOutcome.DECLINED, decision.mode, language)
        self._record(decision.subject, facts)
        self._schedule_agreement(scenario, decision.subject.id)

    def _form_of(self, subject: Subject) -> ConsentForm | None:
        known = consent_states.of_subject(self.context.session, subject)
        return known.form

    def _schedule_agreement(self, scenario: PatientScenario, subject_id: uuid.UUID) -> None:
        later = scenario.consent.agrees_after
        if later is None:
            return
        agree = partial(self._decide_by_link, scenario, subject_id, declines=False)
        self.context.queue.schedule(self.context.now + later, agree)

    def _agreement(self, scenario: PatientScenario, form: ConsentForm, mode: ConsentMode) -> ConsentFacts:
        facts = scenario.facts
        given = ConsentFacts(
            form,
            ConsentOutcome.GIVEN,
            mode,
            facts.language,
            _agreed(scenario, form),
        )
        if mode is ConsentMode.PAPER:
            signed_on = local_date(self.context.now, facts.time_zone)
            return replace(given, signed_on=signed_on)
        if mode is ConsentMode.OWN_DEVICE:
            name = f"{facts.given_name} {facts.family_name}"
            return replace(given, signed_name=name)
        return given

    def _record(self, subject: Subject, facts: ConsentFacts, visit_id: int | None = None) -> None:
        """Records an answer; `visit_id`: the visit whose link leads to its copy."""
        session, now = self.context.session, self.context.now
        is_own = facts.mode is ConsentMode.OWN_DEVICE
        actor = PATIENT if is_own else STAFF
        facts = replace(facts, visit_id=visit_id)
        decision = consent_decisions.record(session, actor, subject, facts, now=now)
        if decision.recorded_at == now:  # otherwise the person had answered the same before
            self._note(decision, visit_id)

    def _note(self, decision: ConsentDecision, visit_id: int | None) -> None:
        self.context.record_event(
            "consent",
            subject=decision.subject_id,
            decision=decision.id,
            form=decision.form_code,
            version=decision.version,
            outcome=decision.outcome,
            given_at=decision.given_at,
            copy_of_visit=visit_id,
        )
        kind = f"consents {decision.outcome}"
        self.context.counts[kind] += 1


def _mode(mode: ResponseMode) -> ConsentMode:
    if mode is ResponseMode.TELEPHONE:
        return ConsentMode.TELEPHONE
    return ConsentMode.OWN_DEVICE


def _agreed(scenario: PatientScenario, form: ConsentForm) -> Mapping[ConsentPurpose, bool]:
    """Returns the purposes that the patient agrees to, the last one perhaps left out."""
    agreed = dict.fromkeys(form.purposes, True)
    last = form.purposes[-1]
    if scenario.consent.is_partial and last != form.required:
        agreed[last] = False
    return agreed
