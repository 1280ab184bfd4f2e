"""Reads YAML data files (instruments, text packs, protocols), which a clinic may have received from elsewhere.

Safe by limits: plain values only, no aliases, no repeated keys, bounded size and depth. Content is checked elsewhere.
"""

import hashlib
import json
import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pro_tracker.domain.errors import InvalidDataFile

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
    """Adds the clinic's own files: `folder`/instruments, text_packs, protocols and messages."""
    _clinic_folders[:] = [folder] if folder else []


def yaml_files(shipped: Path) -> tuple[Path, ...]:
    """Returns every data file of one kind: those of the `shipped` folder by name, then the clinic's own."""
    return tuple(chain.from_iterable(_in(folder) for folder in _folders(shipped)))


def yaml_file(shipped: Path, name: str) -> Path | None:
    """Returns the data file of this name, the clinic's own rather than the shipped one; None if there is none."""
    for folder in reversed(_folders(shipped)):
        path = folder / name
        if path in _in(folder):
            return path
    return None


def ignored_files(read: Collection[Path]) -> list[Path]:
    """Returns the clinic's YAML files that are not `read`: those in another folder, or whose name ends in .yml."""
    found = chain.from_iterable(_yaml_below(folder) for folder in _clinic_folders)
    return sorted(path for path in found if path not in read)


def _yaml_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in (".yaml", ".yml") and not hidden:
            yield path


def _folders(shipped: Path) -> tuple[Path, ...]:
    return (shipped, *(own / shipped.name for own in _clinic_folders))


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
                raise InvalidDataFile((_line(key_node), "a key must be a word or a whole number (quote it)"))
            if key in seen:
                raise InvalidDataFile((_line(key_node), f"the key {key} stands twice"))
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def load_yaml(path: Path) -> dict[str, Any]:
    """Returns the file's top-level mapping.

    Raises InvalidDataFile if it cannot be read, is not YAML, has an alias or a repeated key, or is too large or deep.
    """
    text = read_text(path)
    try:
        _reject_bombs(text)
        # Bandit does not recognise a subclass of the safe loader.
        data = yaml.load(text, Loader=_Loader)  # nosec B506
    except yaml.MarkedYAMLError as error:
        raise InvalidDataFile(_syntax_error(error)) from error
    except yaml.YAMLError as error:
        raise InvalidDataFile(("", f"is not valid YAML: {' '.join(str(error).split())}")) from error
    except ValueError as error:  # an impossible date such as 2026-02-30
        raise InvalidDataFile(("", f"holds a value that cannot be: {error}")) from error
    if not isinstance(data, dict):
        raise InvalidDataFile(("", "the file must hold keys and values at its top level"))
    return data


def read_as(model: type[AnyModel], data: dict[str, Any]) -> AnyModel:
    """Returns the data as an instance of this schema. Raises InvalidDataFile with every error."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InvalidDataFile(*(_format_error(detail) for detail in error.errors(include_url=False))) from error


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
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDataFile(("", f"is not UTF-8 text (byte {error.start + 1}); save it as UTF-8")) from error


def _reject_bombs(text: str) -> None:
    """Checks the parser's events before objects are built: 236 bytes of aliases can become 28 MB of lists.

    Raises InvalidDataFile for an alias, and for more than MAX_DEPTH nested collections.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise InvalidDataFile((_line(event), "aliases (*name) are not allowed"))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise InvalidDataFile((_line(event), f"is nested deeper than {MAX_DEPTH} levels"))


def _line(place: yaml.Event | yaml.Node) -> str:
    return f"line {place.start_mark.line + 1}" if place.start_mark else ""


def _syntax_error(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    line = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
    problem = str(error.problem or error.context)
    hints = [hint for words, hint in _HINTS.items() if words in problem]
    return line, f"is not valid YAML: {problem}{''.join(hints[:1])}"


def _format_error(detail: ErrorDetails) -> tuple[str, str]:
    """Returns the key and the reason in plain words, since the authors of data files do not know pydantic."""
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] in _PLAIN_REASONS:
        return key, _PLAIN_REASONS[detail["type"]]
    message = detail["msg"].removeprefix("Value error, ")
    message = _SHOULD.sub("must", message).partition(" after validation")[0]
    return key, message[:1].lower() + message[1:]


def digest(body: Mapping[str, Any]) -> str:
    """Returns the SHA-256 (hex) of the content, whatever its layout."""
    return hashlib.sha256(canonical_text(body).encode()).hexdigest()


def canonical_text(body: Mapping[str, Any]) -> str:
    """Returns the content as JSON with sorted keys, so that comments and key order make no difference."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, default=str)
