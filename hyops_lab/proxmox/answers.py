"""How Proxmox VE answers: errors in the reason phrase, parameters that are checked before anything happens."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_INTEGER = re.compile(r"[+-]?\d+")


class ApiError(Exception):
    """An answer with an error status. The text travels in the HTTP reason phrase, as Proxmox sends it.

    Whether there is a body depends on who refuses. A call that reached its handler is answered in JSON
    (pve-http-server, Formatter/Standard.pm, `prepare_response_data`); what fails before (authentication, the parser of
    uploads) or between two daemons has an empty body (AnyEvent.pm, `authenticate_and_handle_request`, `response`,
    `proxy_request`).

    Attributes:
        bare: whether the body is empty.
    """

    def __init__(
        self, status: int, reason: str, errors: Mapping[str, str] | None = None, *, bare: bool = False
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = " ".join(reason.split())
        self.errors = dict(errors or {})
        self.bare = bare or is_bare(status)


def is_bare(status: int) -> bool:
    """Whether answers of a status have no body: 401 of the login, 595 to 599 of a daemon that was not reached."""
    return status == 401 or 595 <= status <= 599


def denied(what: str = "") -> ApiError:
    """Return the answer to a missing right (pve-common, Exception.pm, `raise_perm_exc`)."""
    return ApiError(403, f"Permission check failed ({what})" if what else "Permission check failed")


def parameter_error(**errors: str) -> ApiError:
    """Return the answer to wrong parameters: 400 with a message per field (`_` stands for `-`)."""
    fields = {name.replace("_", "-"): text for name, text in errors.items()}
    return ApiError(400, "Parameter verification failed.", fields)


@dataclass(frozen=True)
class Parameters:
    """What one call takes. A call's schema allows nothing else (`additionalProperties: 0`).

    `indexed` names families such as `scsi` whose members carry a number: scsi0, scsi1.
    """

    required: frozenset[str] = frozenset()
    strings: frozenset[str] = frozenset()
    integers: frozenset[str] = frozenset()
    booleans: frozenset[str] = frozenset()
    indexed: frozenset[str] = frozenset()

    def check(self, given: Mapping[str, str]) -> None:
        """Refuse unknown, missing and ill-typed parameters.

        Raises:
            ApiError: 400, with one message for every parameter that is wrong.
        """
        errors = dict.fromkeys(self.required - given.keys(), "property is missing and it is not optional")
        for name, value in given.items():
            if not self._known(name):
                errors[name] = "property is not defined in schema and the schema does not allow additional properties"
            elif name in self.booleans and value not in {"0", "1"}:
                errors[name] = f"type check ('boolean') failed - got '{value}'"
            elif name in self.integers and not _INTEGER.fullmatch(value):
                errors[name] = f"type check ('integer') failed - got '{value}'"
        if errors:
            raise ApiError(400, "Parameter verification failed.", errors)

    def _known(self, name: str) -> bool:
        family = re.fullmatch(r"([a-z]+)\d+", name)
        return name in self.required | self.strings | self.integers | self.booleans or (
            family is not None and family[1] in self.indexed
        )


def takes(
    required: str = "", *, strings: str = "", integers: str = "", booleans: str = "", indexed: str = ""
) -> Parameters:
    """Describe a call's parameters by names separated by blanks. Required ones may be typed a second time."""
    groups = (required, strings, integers, booleans, indexed)
    return Parameters(*(frozenset(group.split()) for group in groups))
