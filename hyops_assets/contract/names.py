"""Names that settings and inputs are made of, as types that refuse what is none.

What a name is used in (a path of an API, a list of options, a command) never sees another character. Proxmox VE's
grammars are those of its own API (`pve-node`, `pve-storage-id`, `pve-bridge-id`, `pve-poolid`).
"""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from hyops_assets.contract.hosts import require_port, require_server
from hyops_assets.contract.urls import BadUrl, Url, local_file
from hyops_assets.contract.version import KEY_PATTERN

_LONGEST_PATH = 4096
_BUCKET_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


def _plain_path(path: Path) -> Path:
    if not str(path).isprintable() or len(str(path).encode()) > _LONGEST_PATH:
        raise ValueError("a path has a control character, or is longer than a system takes")
    return path


_HTTPS_PORT = 443
_FREE_PORTS = 1024


def _host_and_port(text: str) -> str:
    name, separator, port = text.rpartition(":")
    if not separator or name.count(":"):
        return require_server(text)
    # What a host serves on the ports below is another protocol's: an announced URL would talk to its mail or its SSH.
    if require_port(port) != _HTTPS_PORT and int(port) < _FREE_PORTS:
        raise ValueError(
            f"{port} is the port of another service than https: write the host alone, :443, or one from 1024 on"
        )
    return f"{require_server(name)}:{int(port)}"


def require_bucket(text: str) -> str:
    """Return the name of a bucket that Google Cloud Storage makes, unchanged.

    https://cloud.google.com/storage/docs/buckets#naming, in lower case, as new ones are.

    Raises:
        ValueError: it makes none of this name.
    """
    labels = text.split(".")
    if not 3 <= len(text) <= (222 if len(labels) > 1 else 63) or not all(map(_BUCKET_LABEL.fullmatch, labels)):
        raise ValueError(
            "a bucket's name has 3 to 63 lower-case letters, digits, hyphens and underscores, with a letter or digit "
            "at both ends; single dots part several of those, 222 characters in all"
        )
    if all(label.isdigit() for label in labels):
        raise ValueError("a bucket's name may not look like an IP address")
    if text.startswith("goog") or "google" in text.replace("0", "o"):
        raise ValueError("a bucket's name may not start with goog or contain google")
    return text


def _https_url(text: str) -> str:
    _base(text, ("https",))
    return text


def _http_url(text: str) -> str:
    _base(text, ("https", "http"))
    return text


def _https_origin(text: str) -> str:
    if _base(text, ("https",)).path != "/" or text.endswith("/"):
        raise ValueError("it has a path: write https://host or https://host:port")
    return text


def _base(text: str, schemes: tuple[str, ...]) -> Url:
    parsed = _parsed(text, schemes)
    if parsed.query is not None:
        raise ValueError("what other names are put behind has no query")
    return parsed


def _parsed(text: str, schemes: tuple[str, ...]) -> Url:
    try:
        return Url.parse(text, schemes=schemes)
    except BadUrl as error:
        raise ValueError(error.message) from error


def _place(text: str) -> str:
    try:
        path = local_file(text)
    except BadUrl as error:
        raise ValueError(error.message) from error
    if path is None and "://" in text:
        # What is fetched is fetched over https: another scheme would be refused at the first look of the sensor.
        _parsed(text, ("https",))
    else:
        _plain_path(path or Path(text))
    return text


SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
RecordKey = Annotated[str, StringConstraints(pattern=rf"^{KEY_PATTERN.pattern}$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=128)]
"""Of a variable of the process' environment."""

Port = Annotated[int, Field(ge=1, le=65535)]
Host = Annotated[str, AfterValidator(require_server)]
"""A DNS name in ASCII, or an IP address at which a service may be."""
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
"""A host, or `host:port` of https or of a port that other services of a host do not have."""
BucketName = Annotated[str, AfterValidator(require_bucket)]
"""Of Google Cloud Storage; an S3 service makes fewer of them."""
RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""Of an S3 service, such as `fsn1` or `eu-central-1`."""
HttpsUrl = Annotated[str, AfterValidator(_https_url)]
"""That other names are put behind: without a query."""
HttpUrl = Annotated[str, AfterValidator(_http_url)]
"""The same, be it in clear: of a lab only, which the model around it says."""
HttpsOrigin = Annotated[str, AfterValidator(_https_origin)]
"""`https://host` or `https://host:port`."""
_IN_A_SCHEMA = StringConstraints(pattern=r"^(https://[^\s@?#]+[^\s@?#/])?$")
"""What of it a JSON schema can say, for who validates by that."""
OptionalHttpsUrl = Annotated[str, _IN_A_SCHEMA, AfterValidator(lambda text: text and _https_url(text))]
OptionalHttpsOrigin = Annotated[str, _IN_A_SCHEMA, AfterValidator(lambda text: text and _https_origin(text))]
"""The same, or empty."""
Place = Annotated[str, AfterValidator(_place)]
"""An https URL, a file URL or a path."""
LocalPath = Annotated[Path, AfterValidator(_plain_path)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f\u0085\u2028\u2029]+$", max_length=4096)]
"""Text without a line break or another control character."""
Words = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f\u0085\u2028\u2029]*$", max_length=4096)]
"""The same, or nothing."""
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$", max_length=65_536)]
"""Lines of text: what people or cloud-init read."""

NodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")]
StorageName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,98}[A-Za-z0-9]$")]
BridgeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{1,31}$")]
PoolName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,99})?$")]
"""One pool, not one inside another; empty for none."""
TokenId = Annotated[
    str,
    StringConstraints(
        pattern=r"^[^\x00-\x20\x7f:/!@]{1,60}@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]*$", max_length=128
    ),
]
"""`user@realm!name`."""
LocationName = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,8}[0-9]{0,3}$")]
"""Of Hetzner Cloud, such as `fsn1`."""
ProjectId = Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]{1,60}:)?[a-z][a-z0-9-]{2,28}[a-z0-9]$")]
"""Of Google Cloud; an old one has its organisation's domain before it."""
PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.+-]{0,98}[a-z0-9.+]$")]
"""Of Debian (policy 5.6.1), without a trailing minus, which apt-get takes for a removal."""
RelativeFile = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", max_length=255),
]
"""A file below a directory."""

MOST_SECONDS = 7 * 24 * 3600
MOST_DAYS = 36_500
"""A hundred years: no date leaves the calendar."""
MOST = 1_000_000
Seconds = Annotated[int, Field(ge=1, le=MOST_SECONDS)]

_SAID = r"[^\x00-\x08\x0a-\x1f\x7f]*"
CommandLine = Annotated[str, StringConstraints(pattern=rf"^{_SAID}[^\x00-\x20\x7f]{_SAID}$", max_length=65_536)]
"""What a shell is given: one line, not empty."""


def number_as_text(value: object) -> object:
    """Return an id as text: YAML reads one without quotes as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
