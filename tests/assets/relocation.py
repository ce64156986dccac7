"""A copied environment that works where it lies now: its own directory and ports in every text and database."""

import hashlib
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

LINKED_BYTES = 1 << 20
"""Files from this size on hold bytes that never change (disks, ISOs, records): copies share them as hard links."""

Rewrite = Callable[[str], str]


def relocate(root: Path, replaced: Mapping[str, str]) -> None:
    """Replace texts in every text file and database below a directory, and the digests noted of published texts.

    Args:
        root: the copied environment; nothing in it is open.
        replaced: directories and addresses, old ones and new ones. All at once: a new one may be another's old one.
    """
    pattern = re.compile("|".join(re.escape(old) for old in sorted(replaced, key=len, reverse=True)))

    def rewrite(text: str) -> str:
        return pattern.sub(lambda found: replaced[found[0]], text)

    for path in root.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix == ".db":
            _rewrite_database(path, rewrite)
        elif path.stat().st_size < LINKED_BYTES:
            _rewrite_text(path, rewrite)


def _rewrite_text(path: Path, rewrite: Rewrite) -> None:
    # Latin-1 keeps whatever bytes are there.
    before = path.read_bytes()
    content = rewrite(before.decode("latin-1")).encode("latin-1")
    if content == before:
        return
    mode = path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(mode)
    noted = path.with_name(f".{path.name}.facts.json")
    if noted.exists():
        old, new = (hashlib.sha256(text).hexdigest() for text in (before, content))
        _rewrite_text(noted, lambda text: text.replace(old, new))


def _rewrite_database(path: Path, rewrite: Rewrite) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.create_function("rewritten", 1, rewrite, deterministic=True)
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, column, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall():
                database.execute(
                    f'UPDATE "{table}" SET "{column}" = rewritten("{column}")'
                    f' WHERE typeof("{column}") = \'text\' AND "{column}" <> rewritten("{column}")'
                )
