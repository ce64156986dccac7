"""Where a seed's bytes come from, looked at before anything is paid for."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.progress import Progress
from hyops_assets.contract.record import Variant
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.urls import BadUrl, Url, local_file
from resources.answers import Answer
from resources.public_http import anonymous_client, opened, shown
from resources.sites.hetzner.errors import WrongSource


@dataclass(frozen=True)
class Source:
    """Where the raw.xz comes from: a URL that the rescue system fetches, or a file that is sent over SSH.

    `clear` allows http: the digests prove the bytes, and the image is public.
    """

    variant: Variant
    url: str | None = None
    file: Path | None = None
    clear: bool = False

    @property
    def shown(self) -> str:
        """The place, for messages."""
        return self.url or str(self.file)


OpenSource = Callable[[SeedRequest, Progress], AbstractContextManager[Source]]
"""Yields the source of a seed for as long as the block lasts. It is asked only where a disk is to be written."""


@contextmanager
def published(request: SeedRequest, progress: Progress) -> Iterator[Source]:
    """Yield the record's own raw.xz, as it was published. Raises as `find_source`."""
    yield find_source(request)


def find_source(request: SeedRequest) -> Source:
    """Return the source of a seed: an https URL that answers as promised, or a local file of the promised size.

    Its digest is compared on the way to the disk.

    Raises:
        Refused: the record has no raw.xz, or its URL is neither https nor a file's.
        WrongSource: another size or digest is announced.
        NotFound: there is nothing at the URL.
        TransientError: the URL cannot be reached from here.
    """
    variant = request.record.variants.get("raw.xz")
    if variant is None:
        raise Refused(
            f"the record {request.record.key} {request.record.version} has no raw.xz",
            hint="publish that variant; or, on a host that Hetzner can reach, set seed_wrapper_public_base_url to "
            "have its qcow2 wrapped",
        )
    path = local_file(request.url)
    if path is not None:
        if not path.is_file():
            raise WrongSource(f"{path} is no file", hint="publish the record again")
        _require_size(str(path), path.stat().st_size, variant)
        return Source(variant, file=path)
    try:
        url = Url.parse(request.url)
    except BadUrl as error:
        raise Refused(
            f"{shown(request.url)}: the rescue system fetches over https only: {error.message}",
            hint="publish it under https",
        ) from error
    with anonymous_client() as client, opened(client, url) as answer:
        _require_announced(request.url, answer, variant)
    return Source(variant, url=str(url))


def _require_announced(url: str, answer: Answer, variant: Variant) -> None:
    if answer.size_bytes is not None:
        _require_size(url, answer.size_bytes, variant)
    # Google Cloud Storage repeats an object's metadata in headers; our publisher writes the digest there.
    digest = answer.header("x-goog-meta-sha256") or variant.sha256
    if digest != variant.sha256:
        raise WrongSource(f"{url} says sha256 {digest}, the record {variant.sha256}", hint="publish a revision")


def _require_size(where: str, found: int, variant: Variant) -> None:
    if found != variant.size_bytes:
        raise WrongSource(
            f"{where} has {found} bytes, the record's raw.xz {variant.size_bytes}", hint="publish a revision"
        )
