"""The requests to every stand-in: a trace on disk, and counters that outlive a restart."""

import json
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Request:
    """One answered request. `body_bytes` is what a client sent, `answer_bytes` what it was sent."""

    system: str
    method: str
    path: str
    status: int
    body_bytes: int = 0
    answer_bytes: int = 0

    @property
    def mutating(self) -> bool:
        """Whether the request asked for a change."""
        return self.method in MUTATING


class Trace:
    """An append-only list of requests, one JSON line each. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, request: Request) -> None:
        """Append a request."""
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(asdict(request)) + "\n")

    def requests(self) -> list[Request]:
        """Return every request so far, oldest first."""
        if not self.path.exists():
            return []
        return [Request(**json.loads(line)) for line in self.path.read_text().splitlines()]

    def mutations(self) -> Counter[str]:
        """Return how many mutating requests each system answered."""
        return Counter(request.system for request in self.requests() if request.mutating)
