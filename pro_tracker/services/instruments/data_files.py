"""Reads YAML data files (instruments, protocols and so on), which a clinic may have received from elsewhere.

Safe by limits: plain values only, no aliases, no repeated keys, bounded size and depth. Content is checked elsewhere.
"""

import hashlib
import json
import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pro_tracker import languages
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.services.instruments.yaml_values import (
    WrittenValue,
    odd_number_reason,
    with_place,
    written_values,
)

MAX_BYTES = 256 * 1024  # the longest form of the library takes about 10 KB
MAX_DEPTH = 12
# The C parser is about ten times faster; PyYAML has it wherever libyaml was there at build time.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is no key of this format",
    "int_type": "must be a whole number",
    "string_type": "must be text; put a number or a date in quotes",
    "model_type": "must hold keys and values",
    "dict_type": "must hold keys and values",
}
_HINTS = {
    "mapping values": "; put text with a colon in quotes",
    "cannot start any token": "; indent with spaces, not tabs, and put text that begins with a sign in quotes",
}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and one half of a character of UTF-16
_SHOULD = re.compile(r"^(Input|String|List|Dictionary) should")


class FileModel(BaseModel):
    """Base of every file schema: no unknown key, no silent conversion (a version 1.10 must not become 1.1)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def text_matching(pattern: str, like: str) -> AfterValidator:
    """Returns a pydantic validator for ASCII text that matches `pattern`; `like` describes such a text in words."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text, re.ASCII) is None:
            raise ValueError(f"must be {like}")
        return text

    return AfterValidator(check)


AnyModel = TypeVar("AnyModel", bound=BaseModel)
# The clinic's own data folder, or none. Set once in each process, as db.connect sets the database.
_clinic_folders: list[Path] = []


def set_data_folder(folder: Path | None) -> None:
    """Adds the clinic's own files: `folder`/instruments, text_packs, protocols, consents, messages, translations."""
    _clinic_folders[:] = [folder] if folder else []
    languages.set_own_folder(folder / languages.TRANSLATIONS.name if folder else None)


def yaml_files(shipped: Path) -> tuple[Path, ...]:
    """Returns every data file of one kind: those of the `shipped` folder by name, then the clinic's own."""
    files: list[Path] = []
    for folder in _folders(shipped):
        files += _in(folder)
    return tuple(files)


def yaml_file(shipped: Path, name: str) -> Path | None:
    """Returns the data file of this name, the clinic's own rather than the shipped one; None if there is none."""
    for folder in reversed(_folders(shipped)):
        path = folder / name
        if path in _in(folder):
            return path
    return None


def ignored_files(read: Collection[Path]) -> list[Path]:
    """Returns the clinic's YAML files that are not `read`: those in another folder, or whose name ends in .yml."""
    found: list[Path] = []
    for folder in _clinic_folders:
        found += _yaml_below(folder)
    return sorted(path for path in found if path not in read)


def _yaml_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix.lower() in (".yaml", ".yml") and not hidden:
            yield path


def _folders(shipped: Path) -> tuple[Path, ...]:
    own = [folder / shipped.name for folder in _clinic_folders]
    return (shipped, *own)


@cache
def _in(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.yaml")))


class _Loader(_SafeLoader):  # type: ignore[misc]
    """The safe loader, with an error for a repeated key: PyYAML would silently keep the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if type(key) not in (str, int):  # YAML 1.1 reads the keys "no" and "on" as booleans
                reason = f"a key must be a word or a whole number; put {key_node.value!s:.40} in quotes"
                raise InvalidDataFile((_line(key_node.start_mark), reason))
            if key in seen:
                raise InvalidDataFile((_line(key_node.start_mark), f"the key {key} occurs twice"))
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        require_storable(node.value, _line(node.start_mark))
        return super().construct_scalar(node)

    def read(self) -> tuple[Any, tuple[WrittenValue, ...]]:
        """Returns the content and its values as written. Raises InvalidDataFile with every number that misleads."""
        node = self.get_single_node()
        written = tuple(written_values(node))
        numbers = {"int": self.construct_yaml_int, "float": self.construct_yaml_float}
        odd = [(each.key, odd_number_reason(each, numbers)) for each in written if each.is_odd_number]
        if odd:
            raise InvalidDataFile(*odd)
        return None if node is None else self.construct_document(node), written


class FileContent(dict[str, Any]):
    """The top-level mapping of a file. `written`: place in the file -> the value there, as it is written."""

    written: Mapping[str, WrittenValue] = {}


def load_yaml(path: Path) -> FileContent:
    """Returns the file's top-level mapping.

    Raises InvalidDataFile if it cannot be read, is not YAML, has an alias, a repeated key or a number that YAML reads
    as another one, or is too large or deep.
    """
    text = read_text(path)
    try:
        _reject_bombs(text)
        data, written = _Loader(text).read()
    except yaml.MarkedYAMLError as error:
        raise InvalidDataFile(_syntax_error(error)) from error
    except yaml.YAMLError as error:
        raise InvalidDataFile(("", f"is not valid YAML: {' '.join(str(error).split())}")) from error
    except ValueError as error:  # an impossible date such as 2026-02-30
        raise InvalidDataFile(("", f"holds a value that cannot be: {error}")) from error
    if not isinstance(data, dict):
        raise InvalidDataFile(("", "the file must hold keys and values at its top level"))
    content = FileContent(data)
    content.written = {each.key: each for each in written}
    return content


def read_as(model: type[AnyModel], data: dict[str, Any]) -> AnyModel:
    """Returns the data as an instance of this schema. Raises InvalidDataFile with every error and the known lines."""
    written = data.written if isinstance(data, FileContent) else {}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        formatted = map(_format_error, error.errors(include_url=False))
        found = [(key, with_place(reason, written.get(key))) for key, reason in formatted]
        raise InvalidDataFile(*found) from error


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Returns the file's text. Raises InvalidDataFile if it cannot be read, is too large or is not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise InvalidDataFile(("", f"cannot be read: {error.strerror}")) from error
    if len(content) > max_bytes:
        raise InvalidDataFile(("", f"is larger than {max_bytes // 1024} KB"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDataFile(("", f"is not UTF-8 text (byte {error.start + 1}); save it as UTF-8")) from error
    for number, line in enumerate(text.split("\n"), start=1):
        require_storable(line, f"line {number}")
    return text


def require_storable(text: str, place: str = "") -> None:
    """Raises InvalidDataFile, with the place, if PostgreSQL cannot store the text."""
    found = _UNSTORABLE.search(text)
    if found is not None:
        code = f"U+{ord(found[0]):04X}"
        raise InvalidDataFile((place, f"holds the character {code}, which is no text; remove it"))


def _reject_bombs(text: str) -> None:
    """Checks the parser's events before objects are built: 236 bytes of aliases can become 28 MB of lists.

    Raises InvalidDataFile for an alias, and for more than MAX_DEPTH nested collections.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise InvalidDataFile((_line(event.start_mark), "aliases (*name) are not allowed"))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise InvalidDataFile((_line(event.start_mark), f"is nested deeper than {MAX_DEPTH} levels"))


def _line(mark: Any) -> str:
    """Returns the line of a mark of either parser, from 1; "" for None."""
    if not mark:
        return ""
    return f"line {mark.line + 1}"


def _syntax_error(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    line = _line(error.problem_mark)
    problem = str(error.problem or error.context)
    hint = _hint(problem)
    return line, f"is not valid YAML: {problem}{hint}"


def _hint(problem: str) -> str:
    """Returns what to do about the parser's problem, as the end of a sentence; "" if nothing is known."""
    for words, hint in _HINTS.items():
        if words in problem:
            return hint
    return ""


def _format_error(detail: ErrorDetails) -> tuple[str, str]:
    """Returns the key and the reason in plain words, since the authors of data files do not know pydantic."""
    key = ".".join(str(part) for part in detail["loc"])
    plain_reason = _PLAIN_REASONS.get(detail["type"])
    if plain_reason is not None:
        return key, plain_reason
    message = detail["msg"].removeprefix("Value error, ")
    message = _SHOULD.sub("must", message)
    message, _, _ = message.partition(" after validation")
    return key, message[:1].lower() + message[1:]


def digest(body: Mapping[str, Any]) -> str:
    """Returns the SHA-256 (hex) of the content, whatever its layout."""
    text = canonical_text(body)
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_text(body: Mapping[str, Any]) -> str:
    """Returns the content as JSON with sorted keys, so that comments and key order make no difference."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, default=str)
