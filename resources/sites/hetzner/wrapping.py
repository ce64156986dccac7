"""The compatibility path for a record without raw.xz: its qcow2 is wrapped into one here, and served for one seed.

Only where all three conditions of the source document hold ("Record shape"): this host has `qemu-img`, it can be
reached from outside, and somebody said on purpose that it acts as wrapper. What is wrapped is verified as anything
else is: the qcow2 by its digest, the disk by the record's, the transport and the written disk by theirs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyops_assets.contract.progress import Progress
from hyops_assets.contract.record import Variant
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.urls import local_file, published_name
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import find_program
from hyops_assets.image.variants import rawxz
from resources.public_files import fetch_file
from resources.sites.hetzner.errors import WrongSource
from resources.sites.hetzner.serving import Shelf, Wrapper, require_public_url, require_reached, serving
from resources.sites.hetzner.source import Source
from resources.sites.hetzner.staging import staged


@contextmanager
def wrapped(request: SeedRequest, progress: Progress, *, wrapper: Wrapper, lab: bool) -> Iterator[Source]:
    """Yield a record's disk as a raw.xz that is served by this host, for as long as the block lasts.

    Args:
        request: of a record with a qcow2, which `request.url` names: an https URL or a file's.
        progress: called with the bytes done.
        wrapper: where it is made and served.
        lab: whether addresses that are not routed will do.

    Raises:
        MissingProgram: qemu-img or curl is not installed.
        NotReachable: this host's public URL does not lead here.
        WrongSource: the qcow2 is not the record's.
        VariantDiffers: it holds another disk than the record's.
        Refused: the port or the staging directory cannot be had.
    """
    with _reached(wrapper, lab=lab) as (room, shelf):
        qcow2 = _qcow2(request, room, progress)
        raw_xz = room / Path(published_name(request.record.key, request.record.record_version, "raw.xz")).name
        made = rawxz.encode(qcow2, raw_xz, disk_format="qcow2", progress=progress)
        if made.disk != request.record.disk:
            raise rawxz.VariantDiffers(found=made.disk, expected=request.record.disk)
        variant = Variant(file_name=raw_xz.name, size_bytes=made.size_bytes, sha256=made.sha256)
        yield Source(variant, url=shelf.put(raw_xz), clear=True)


def require_wrapping(wrapper: Wrapper, *, lab: bool) -> None:
    """See that this host could wrap and serve now: it does so for a moment, with nothing but a probe.

    Raises:
        MissingProgram: qemu-img or curl is not installed.
        NotReachable: this host's public URL does not lead here.
        Refused: the port or the staging directory cannot be had.
    """
    with _reached(wrapper, lab=lab):
        pass


@contextmanager
def _reached(wrapper: Wrapper, *, lab: bool) -> Iterator[tuple[Path, Shelf]]:
    """Yield a private directory, and a shelf that the public URL was seen to lead to."""
    find_program("qemu-img")
    require_public_url(wrapper.base_url, lab=lab)
    with staged(wrapper.staging) as room, serving(wrapper) as shelf:
        require_reached(shelf, room)
        yield room, shelf


def _qcow2(request: SeedRequest, room: Path, progress: Progress) -> Path:
    """Return the record's qcow2 as a file, after hashing it."""
    variant = request.record.variants["qcow2"]
    file = local_file(request.url)
    if file is not None:
        if not file.is_file():
            raise WrongSource(f"{file} is no file", hint="publish the record again")
    else:
        file = room / variant.file_name
        fetch_file(request.url, file, most_bytes=variant.size_bytes, progress=progress)
    found = sha256_of_file(file, stage="hash qcow2", progress=progress)
    if found != variant.sha256:
        raise WrongSource(
            f"{request.url} has sha256 {found}, the record's qcow2 {variant.sha256}", hint="publish a revision"
        )
    return file
