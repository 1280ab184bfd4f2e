"""The consent of synthetic patients, where their protocol has a form: on paper at enrolment, or on their phone."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from random import Random

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.consent import ASKED_IN, ConsentForm, ConsentMode, ConsentOutcome, ConsentState
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.wall_time import local_date
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
    days = random.randint(parameters.days_to_agreement.minimum, parameters.days_to_agreement.maximum)
    return ConsentScenario(
        on_paper=random.random() < parameters.on_paper,
        is_earlier_version=random.random() < parameters.earlier_version,
        is_partial=random.random() < parameters.partial,
        declines=random.random() < parameters.declined,
        agrees_after=timedelta(days=days) if random.random() < parameters.agreed_later else None,
    )


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
        if state in ASKED_IN or state is ConsentState.DECLINED or visit.consent_form is None:
            return state in ASKED_IN
        by = ConsentMode.TELEPHONE if mode is ResponseMode.TELEPHONE else ConsentMode.OWN_DEVICE
        declines = state is ConsentState.NOT_ASKED and scenario.consent.declines
        subject = self.context.session.get_one(Subject, visit.person_id)
        self._decide(scenario, subject, self._facts(scenario, visit.consent_form, by, declines), visit.visit_id)
        return not declines

    def withdraw(self, scenario: PatientScenario, subject: Subject) -> bool:
        """Withdraws a patient who has a consent form on their own page; returns whether there is one."""
        if not self._versions(scenario):
            return False
        chosen = OwnWithdrawal(WithdrawalScope.ASKING, ConsentMode.OWN_DEVICE)
        patient_withdrawals.withdraw(self.context.session, PATIENT, subject, chosen, now=self.context.now)
        return True

    def _versions(self, scenario: PatientScenario) -> Sequence[ConsentForm]:
        protocol = protocol_moves.protocol_named(scenario.protocol or self.protocol)
        return consent_forms.versions(protocol.consent) if protocol.consent else ()

    def _decide_by_link(self, scenario: PatientScenario, subject_id: uuid.UUID, *, declines: bool) -> None:
        """Lets the patient answer the form of an open visit; nothing without one, as the link leads nowhere then."""
        session, now = self.context.session, self.context.now
        subject = session.get_one(Subject, subject_id)
        visit_id = consent_states.visit_for_copy(session, subject, ConsentMode.OWN_DEVICE, now=now)
        known = consent_states.of_subject(session, subject)
        if not subject.takes_part or subject.merged_into_id is not None or visit_id is None or known.form is None:
            return
        self._decide(scenario, subject, self._facts(scenario, known.form, ConsentMode.OWN_DEVICE, declines), visit_id)

    def _decide(self, scenario: PatientScenario, subject: Subject, facts: ConsentFacts, visit_id: int) -> None:
        self._record(subject, facts, visit_id)
        later = scenario.consent.agrees_after
        if facts.outcome is ConsentOutcome.DECLINED and later is not None:
            agree = partial(self._decide_by_link, scenario, subject.id, declines=False)
            self.context.queue.schedule(self.context.now + later, agree)

    def _facts(self, scenario: PatientScenario, form: ConsentForm, mode: ConsentMode, declines: bool) -> ConsentFacts:
        if declines:
            return ConsentFacts(form, ConsentOutcome.DECLINED, mode, scenario.facts.language)
        return self._agreement(scenario, form, mode)

    def _agreement(self, scenario: PatientScenario, form: ConsentForm, mode: ConsentMode) -> ConsentFacts:
        agreed = dict.fromkeys(form.purposes, True)
        if scenario.consent.is_partial and form.purposes[-1] != form.required:
            agreed[form.purposes[-1]] = False
        facts = scenario.facts
        if mode is ConsentMode.PAPER:
            signed_on = local_date(self.context.now, facts.time_zone)
            return ConsentFacts(form, ConsentOutcome.GIVEN, mode, facts.language, agreed, signed_on=signed_on)
        name = f"{facts.given_name} {facts.family_name}" if mode is ConsentMode.OWN_DEVICE else ""
        return ConsentFacts(form, ConsentOutcome.GIVEN, mode, facts.language, agreed, name)

    def _record(self, subject: Subject, facts: ConsentFacts, visit_id: int | None = None) -> None:
        session, now = self.context.session, self.context.now
        actor = PATIENT if facts.mode is ConsentMode.OWN_DEVICE else STAFF
        decision = consent_decisions.record(session, actor, subject, replace(facts, visit_id=visit_id), now=now)
        if decision.recorded_at != now:
            return  # the person had answered the same before
        self.context.record_event(
            "consent",
            subject=subject.id,
            decision=decision.id,
            form=facts.form.code,
            version=facts.form.version,
            outcome=facts.outcome,
            given_at=decision.given_at,
            copy_of_visit=visit_id if facts.outcome is ConsentOutcome.GIVEN else None,
        )
        self.context.counts[f"consents {facts.outcome}"] += 1
