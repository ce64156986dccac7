"""What a call that got no answer means: a name, a certificate, a clock, a silent node, or an answer that got lost."""

import ssl
from pathlib import Path

import requests

from hyops_assets.contract.errors import HyopsError, said_by_system
from resources.no_answer import why_unanswered
from resources.sites.proxmox.errors import AnswerLost, HostUnknown, NodeUnreachable, NotTrusted

_CERTIFICATES = (
    (
        ("not yet valid", "has expired"),
        "compare this machine's clock with the node's (timedatectl on both); if both are right, renew the node's "
        "certificate: pvecm updatecerts --force",
    ),
    (
        ("Hostname mismatch", "IP address mismatch"),
        "set the site's host to a name that stands in the certificate",
    ),
)
_UNTRUSTED = "set the site's ca_file to the cluster's /etc/pve/pve-root-ca.pem"


def error_without_answer(call: str, where: str, error: requests.RequestException, *, changing: bool) -> HyopsError:
    """Return the typed error of a call that got no answer.

    Args:
        call: method and path.
        where: host and port.
        error: what requests made of it.
        changing: whether the call asked for a change, which may have been made.
    """
    text = repr(error)
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in text:
        return _untrusted(where, text)
    if "NameResolutionError" in text:
        return HostUnknown(
            f"{call}: the name in {where} has no address", hint="correct the site's host, or this machine's DNS"
        )
    unsent = isinstance(error, requests.exceptions.ConnectTimeout) or "NewConnectionError" in text
    if changing and not unsent:
        return AnswerLost(f"{call}: no answer from {where}", hint="look whether it took effect, then try again")
    return NodeUnreachable(
        f"{call}: {where} does not answer: {why_unanswered(error)}",
        hint="check host and port of the site, and that the node's API runs: systemctl status pveproxy",
    )


def require_authority(ca_file: Path) -> None:
    """See that a site's `ca_file` holds certificates; the library's word for it names neither setting nor remedy.

    Raises:
        NotTrusted: it is no file, cannot be read, or holds none.
    """
    why = "" if ca_file.is_file() else "is no file"
    if not why:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
        except ssl.SSLError:
            why = "holds no certificate in PEM"
        except OSError as error:
            why = f"cannot be read: {said_by_system(error)}"
    if why:
        raise NotTrusted(
            f"ca_file {ca_file} {why}", hint="copy /etc/pve/pve-root-ca.pem from a node of the cluster there"
        )


def _untrusted(where: str, text: str) -> NotTrusted:
    for phrases, hint in _CERTIFICATES:
        for phrase in phrases:
            if phrase in text:
                return NotTrusted(f"the certificate of {where} is refused: {phrase}", hint=hint)
    return NotTrusted(f"the certificate of {where} is not trusted", hint=_UNTRUSTED)
