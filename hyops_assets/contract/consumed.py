"""What may be read from a state: only one that is ready, and only what it says in so many words.

A state is a file that others may have written, HybridOps' own modules among them: whatever stands there is looked at
before it is believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState, Outputs
from hyops_assets.contract.urls import require_contract_url
from hyops_assets.contract.version import RecordVersion


class UnresolvedState(HyopsError):
    """A state reference leads to no state that may be consumed, or to one that does not say what is asked for."""


@dataclass(frozen=True)
class ResolvedRecord:
    """One published file of a record, as a state names it.

    Attributes:
        key: of the record.
        version: of the record.
        format: of the file; empty where the state does not say.
        url: of the file: versioned, immutable.
        sha256: of the file; empty where the state does not say.
        source_iso_url: what the record was built from; empty where the state does not say.
    """

    key: str
    version: str
    format: str
    url: str
    sha256: str
    source_iso_url: str


def require_ready(reference: StateRef, state: ModuleState | None) -> ModuleState:
    """Return a state that may be consumed: one that is `ok`, or whose last run failed over outputs that were.

    Raises:
        UnresolvedState: there is none, its first run failed, or its status is another one.
    """
    if state is None:
        raise UnresolvedState(
            f"{reference} has no state", hint=f"apply its module first: hyops apply --module {reference.module}"
        )
    if may_be_consumed(state):
        return state
    raise UnresolvedState(
        f"{reference} is not ready (status={state.status}{_because(state)})", hint=f"apply {reference.module} again"
    )


def may_be_consumed(state: ModuleState) -> bool:
    """Tell whether what a state names was proven by a run that ended well."""
    return state.status == "ok" or (state.status == "error" and bool(state.outputs))


def failed_since(reference: StateRef, state: ModuleState) -> str:
    """Return a line that says that outputs are those of before a run that failed, and why it did; empty if none did.

    A failed run changes no outputs: they name what an earlier run proved.
    """
    if state.status != "error":
        return ""
    held = next(
        (
            text
            for name in ("record_version", "image_version", "template_image_version")
            if (text := text_of(state.outputs, name))
        ),
        "",
    )
    former = f"{held}, as before" if held else "what it held before"
    return f"the last run of {reference} failed{_because(state)}; it still names {former}"


def _because(state: ModuleState) -> str:
    """Return the cause in one line: what follows its first is a program's output or a guest's console."""
    said = (state.model_extra or {}).get("last_error")
    lines = [" ".join(line.split()) for line in said.strip().splitlines()] if isinstance(said, str) else []
    if not lines:
        return ""
    return f": {lines[0]}{f' {lines[1]}' if lines[0].endswith(':') and lines[1:] else ''}"


def resolve_record(reference: StateRef, state: ModuleState, key: str, takes: VariantFormat) -> ResolvedRecord:
    """Return the file of a record that a consumer takes: its variant, else the one file that the state names.

    States of HybridOps' own modules say `artifact_*` and name one file; both shapes are read.

    Raises:
        UnresolvedState: the key is absent (those that are there are listed), or has no URL or no version.
        BadUrl: the URL moves, expires, is not public or does not name the version.
    """
    entry = named_entry(reference, state.outputs, key, {"records": "record", "artifacts": "artifact"})
    variants = entry.get("variants")
    variant = variants.get(takes) if isinstance(variants, dict) else None
    chosen = variant if isinstance(variant, dict) else entry
    version, url = text_of(entry, "version"), text_of(chosen, "url")
    for what, value in (("version", version), ("url", url)):
        if not value:
            raise UnresolvedState(
                f"{reference} names no {what} of {key!r}", hint=f"apply {reference.module} again with a {what}"
            )
    return ResolvedRecord(
        key=key,
        version=version,
        format=takes if chosen is variant else text_of(entry, "format"),
        url=require_contract_url(url, RecordVersion.parse(version)),
        sha256=text_of(chosen, "sha256"),
        source_iso_url=text_of(entry, "source_iso_url"),
    )


def named_entry(reference: StateRef, outputs: Outputs, key: str, words: Mapping[str, str]) -> dict[str, Any]:
    """Return what a state says of a key, by names without their word: from its map, else from its top level.

    Args:
        reference: of the state, for errors.
        outputs: of the state.
        key: of the record, image or template.
        words: names of maps that may hold it, with the word that stands before each name in them.

    Raises:
        UnresolvedState: no map and no top level has the key; those that are there are listed.
    """
    available: set[str] = set()
    for many, one in words.items():
        entries = outputs.get(many)
        if isinstance(entries, dict):
            available |= set(entries)
            entry = entries.get(key)
            if isinstance(entry, dict):
                return _unworded(entry, one)
        top = outputs.get(f"{one}_key")
        if isinstance(top, str) and top:
            available.add(top)
            if top == key:
                return _unworded(outputs, one)
    word = next(iter(words.values()))
    known = ", ".join(sorted(available))
    raise UnresolvedState(
        f"{reference} has no {word} {key!r} (it has: {known or 'none'})",
        hint=f"set {word}_key to one of them" if known else f"apply {reference.module} again",
    )


def text_of(entry: Mapping[str, Any], name: str) -> str:
    """Return a text of an entry; empty where it has none, or something else there."""
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _unworded(entry: Mapping[str, Any], word: str) -> dict[str, Any]:
    return {name.removeprefix(f"{word}_"): value for name, value in entry.items()}
