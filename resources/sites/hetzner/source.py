"""Where a seed's bytes come from, looked at before anything is paid for."""

from collections.abc import Iterator
from contextlib import contextmanager

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.file_urls import local_file
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Variant
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.urls import BadUrl, Url
from resources.answers import Answer
from resources.public_http import anonymous_client, opened, shown
from resources.sites.hetzner.errors import WrongSource
from resources.sites.hetzner.rescue import Source
from resources.sites.hetzner.wishes import Wrapper
from resources.sites.hetzner.wrapping import wrapped


@contextmanager
def source_of(
    request: SeedRequest, wrapper: Wrapper | None, *, lab: bool, progress: Progress = silent
) -> Iterator[Source]:
    """Yield the source of a seed for as long as the block lasts: the record's own raw.xz, wherever there is one.

    Raises:
        Refused: the record has no raw.xz, and its qcow2 may not be wrapped; besides what `find_source` and
            `wrapping.wrapped` raise.
    """
    record = request.record
    if "raw.xz" in record.variants:
        yield find_source(request)
    elif wrapper is None or "qcow2" not in record.variants:
        raise Refused(
            f"the record {record.key} {record.version} has no raw.xz",
            hint="publish that variant; or, on a host that Hetzner can reach, set seed_wrapper_public_base_url to "
            "have its qcow2 wrapped",
        )
    else:
        with wrapped(request, wrapper, lab=lab, progress=progress) as source:
            yield source


def find_source(request: SeedRequest) -> Source:
    """Return the source of a seed: an https URL that answers as promised, or a local file of the promised size.

    Its digest is compared on the way to the disk.

    Raises:
        Refused: the URL is neither https nor a file's.
        WrongSource: another size or digest is announced.
        NotFound: there is nothing at the URL.
        TransientError: the URL cannot be reached from here.
    """
    variant = request.record.variants["raw.xz"]
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
