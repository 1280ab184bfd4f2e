"""The codebook of the export files: the content of each column and test, and how its scoring and wording were checked.

Lists the text packs that answers were given to with their options, but not the wording of items: a licensed text may
not be distributed with the data.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pro_tracker.domain.adaptive import ItemBank
from pro_tracker.domain.instrument import Band, ChangeCriterion, ChangeRule, Instrument, Item, Scale, TextPack
from pro_tracker.domain.protocol import Protocol
from pro_tracker.languages import patient_languages
from pro_tracker.services.csv_columns import Column, ColumnGroup
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.results.export_columns import LONG, T_SCORE, named_tests, wide
from pro_tracker.services.results.treatment_columns import TREATMENT_FILES
from pro_tracker.services.wording.text_packs import WordingSnapshot


@dataclass(frozen=True, slots=True)
class CodebookEntry:
    """One line of the codebook: a column of a file, or a test of the long file, named by QSCAT and QSTESTCD."""

    file: str
    column: str
    label: str
    unit: str = ""
    instrument: str = ""
    test: str = ""
    values: str = ""
    rules: str = ""
    verification: str = ""
    text_validated: str = ""
    text_language: str = ""
    text_version: str = ""


CODEBOOK: tuple[Column[CodebookEntry], ...] = (
    Column("FILE", lambda e: e.file, "File that holds the column", "the name of the file"),
    Column("COLUMN", lambda e: e.column, "Column"),
    Column("QSCAT", lambda e: e.instrument, "Instrument, for tests and text packs of the long file"),
    Column("QSTESTCD", lambda e: e.test, "Test, for tests of the long file"),
    Column("TEXTLANG", lambda e: e.text_language, "Language of a text pack of the long file"),
    Column("TEXTVER", lambda e: e.text_version, "Version of a text pack of the long file"),
    Column("LABEL", lambda e: e.label, "What it holds"),
    Column("UNIT", lambda e: e.unit, "Unit or possible values"),
    Column("VALUES", lambda e: e.values, "Range, or code = option"),
    Column(
        "RULES", lambda e: e.rules, "Direction, missing items, change that matters, with sources; licence of a text"
    ),
    Column("VERIFICATION", lambda e: e.verification, "How far the scoring was checked"),
    Column(
        "TEXTVALID",
        lambda e: e.text_validated,
        "Whether the wording (for tests: the one in effect) is validated",
        "Y, N",
    ),
)

LAYOUT: tuple[ColumnGroup[CodebookEntry], ...] = (ColumnGroup(CODEBOOK),)


def entries(
    protocols: Sequence[Protocol], wording: WordingSnapshot, asked: Iterable[TextPack]
) -> Iterator[CodebookEntry]:
    """Every column of every file, every test of these protocols' instruments, every text pack that was asked with.

    The options of tests are given in the current wording.
    """
    instruments = instruments_of(protocols)
    yield from _column_entries("long", LONG)
    yield from _column_entries("wide", wide(instruments))
    for name, file in TREATMENT_FILES.items():
        yield from _column_entries(name, file.layout)
    yield from _column_entries("codebook", LAYOUT)
    for instrument in instruments:
        yield _not_done(instrument)
        yield from _tests(instrument, wording)
        yield from _score_entries(instrument, wording, protocols)
    yield from map(_text_pack, asked)


def _column_entries(file: str, layout: Iterable[ColumnGroup[Any]]) -> Iterator[CodebookEntry]:
    for group in layout:
        for column in group.columns:
            yield CodebookEntry(file, column.name, column.label, column.unit, values=column.values)


def instruments_of(protocols: Iterable[Protocol]) -> tuple[Instrument, ...]:
    """The instruments of these protocols, each once and in its newest version, in the order of the batteries."""
    asked = chain.from_iterable(protocol.instruments for protocol in protocols)
    each_once = dict.fromkeys(asked)
    return tuple(map(instrument_catalog.instrument, each_once))


def _text_pack(pack: TextPack) -> CodebookEntry:
    instrument = instrument_catalog.instrument(pack.instrument_code)
    item_sets = {item.response_set.code: item for item in instrument.items}
    options = (f"{code}: {_options(item, pack)}" for code, item in item_sets.items())
    return CodebookEntry(
        "long",
        "TEXTVER",
        f"Text pack asked with: {pack.title}",
        instrument=pack.instrument_code,
        values=" | ".join(options),
        rules=pack.licence,
        text_validated=_yes_no(pack.validated),
        text_language=pack.language,
        text_version=pack.version,
    )


def _not_done(instrument: Instrument) -> CodebookEntry:
    """The test that stands for the whole instrument at a visit without its answers."""
    test = named_tests(instrument.code, instrument.version).not_done
    return CodebookEntry(
        "long",
        "QSTESTCD",
        f"{test.label}: the whole instrument was not answered",
        unit="no result: QSSTAT is NOT DONE",
        instrument=instrument.code,
        test=test.code,
        rules="Stands in place of the rows of items and scores; QSREASND holds the reason.",
    )


def _tests(instrument: Instrument, wording: WordingSnapshot) -> Iterator[CodebookEntry]:
    pack = wording.pack(instrument.code, instrument_catalog.FALLBACK_LANGUAGE)
    validated = _validated(instrument, wording)
    for test in named_tests(instrument.code, instrument.version).items:
        item = instrument.item(test.code)
        yield CodebookEntry(
            "long",
            "QSTESTCD",
            test.label,
            unit="option code",
            instrument=instrument.code,
            test=test.code,
            values=_options(item, pack),
            rules=_item_rules(instrument, item),
            text_validated=validated,
        )


def _score_entries(
    instrument: Instrument, wording: WordingSnapshot, protocols: Sequence[Protocol]
) -> Iterator[CodebookEntry]:
    validated = _validated(instrument, wording)
    for test in named_tests(instrument.code, instrument.version).scores:
        scale, is_t = instrument.scale(test.scale), test.stored_as == T_SCORE
        low, high = scale.value_range if is_t else scale.raw_range
        rules = _scale_rules(scale)
        if is_t == scale.has_t:
            rules += _interpretation_rules(instrument, scale, protocols)
        yield CodebookEntry(
            "long",
            "QSTESTCD",
            test.label,
            unit="T points" if is_t else "points",
            instrument=instrument.code,
            test=test.code,
            values=f"{low:g} to {high:g}",
            rules=rules,
            verification=scale.verification,
            text_validated=validated,
        )


def _validated(instrument: Instrument, wording: WordingSnapshot) -> str:
    """Y where the current wording is validated in every language."""
    packs = (wording.pack(instrument.code, language) for language in patient_languages())
    is_validated = all(pack.validated for pack in packs)
    return _yes_no(is_validated)


def _yes_no(value: bool) -> str:
    return "Y" if value else "N"


def _options(item: Item, pack: TextPack) -> str:
    """The options as text: "1 = Never; 2 = Rarely", or of a numeric scale "0 to 10 (0 = No pain; 10 = Worst pain)"."""
    labels = pack.options.get(item.response_set.code, {})
    values = item.response_set.values
    if item.response_set.kind == "numeric":
        low_to_high = f"{min(values)} to {max(values)}"
        ends = _labelled(sorted(labels.items()))
        return f"{low_to_high} ({ends})" if ends else low_to_high
    return _labelled((value, labels.get(value, "")) for value in values)


def _labelled(labels: Iterable[tuple[int, str]]) -> str:
    """Values with their labels as text: "1 = Never; 2 = Rarely"."""
    texts = [f"{value} = {_quoted(label)}" for value, label in labels]
    return "; ".join(texts)


def _quoted(label: str) -> str:
    """The label, in quotes if it holds a character that separates labels: quotes within are doubled, as in CSV."""
    if not set(label) & set(';="'):
        return label
    doubled = label.replace('"', '""')
    return f'"{doubled}"'


def _item_rules(instrument: Instrument, item: Item) -> str:
    scales = [scale.code for scale in instrument.scales if item.link_id in scale.items]
    counted = f"Counts in: {', '.join(scales)}." if scales else "Counts in no scale."
    if item.reversed:
        return f"{counted} Reversed when scored."
    if item.recode:
        return f"{counted} Recoded when scored."
    return counted


def _scale_rules(scale: Scale) -> str:
    parts = [
        "Higher is worse." if scale.direction == "higher-worse" else "Higher is better.",
        f"Missing items: {scale.missing.source}",
    ]
    if scale.bank:
        parts.append(_stopping_rule(scale.bank))
    if scale.t_scores:
        parts.append(f"T-scores: mean 50, SD 10 in {scale.t_scores.population} ({scale.t_scores.source})")
    if scale.responder_rule:
        parts.append(f"Responder: {scale.responder_rule.source}")
    return " ".join(parts)


def _interpretation_rules(instrument: Instrument, scale: Scale, protocols: Sequence[Protocol]) -> str:
    """Bands and the change that matters, by the scale and by protocols with a rule of their own."""
    parts = []
    if scale.bands:
        bands = ", ".join(map(_band, scale.bands))
        parts.append(f"Bands: {bands} ({scale.bands_source})")
    if scale.change_rule:
        parts.append(_change_rule(scale.change_rule))
    for protocol in protocols:
        own = protocol.change_rules.get(f"{instrument.code}.{scale.code}")
        if own:
            parts.append(f"In {protocol.code} version {protocol.version} instead: {_change_rule(own)}")
    return "".join(f" {part}" for part in parts)


def _band(band: Band) -> str:
    parts = [band.code]
    if band.lower is not None:
        parts.append(f"from {band.lower:g}")
    if band.upper is not None:
        parts.append(f"up to {band.upper:g}")
    return " ".join(parts)


def _stopping_rule(bank: ItemBank) -> str:
    asked = f"{bank.least_items} to {bank.most_items} of {len(bank.items)} items"
    stop = f"the standard error is at most {bank.stop_at_standard_error:g}"
    return f"Adaptive: asks {asked}, until {stop}."


def _change_rule(rule: ChangeRule) -> str:
    parts = [" or ".join(map(_criterion, rule.any_of))]
    if rule.group_points:
        parts.append(f"of a group mean: {rule.group_points:g} points")
    if rule.detectable_change:
        least, most = rule.detectable_change
        parts.append(f"detectable: {least:g} to {most:g} points")
    return f"Change that matters: {'; '.join(parts)} ({rule.source})"


def _criterion(criterion: ChangeCriterion) -> str:
    text = _size(criterion)
    if criterion.only:
        text += f", {criterion.only} only"
    if criterion.baseline_at_most is not None:
        return f"{text} from a baseline up to {criterion.baseline_at_most:g}"
    if criterion.baseline_above is not None:
        return f"{text} from a baseline above {criterion.baseline_above:g}"
    return text


def _size(criterion: ChangeCriterion) -> str:
    if criterion.points is not None:
        return f"{criterion.points:g} points"
    return f"{criterion.percent:g} % of baseline"
