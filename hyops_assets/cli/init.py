"""`hyops init`: a commented `pipeline.yml` to start from."""

import typer

from hyops_assets.cli.environment import Place
from hyops_assets.cli.init_sites import AskedSites, sites_text
from hyops_assets.contract.errors import Refused
from resources.environment_id import ensure_environment_id
from resources.settings import make_private, write_private

TEMPLATE_WRITTEN = 10
"""HybridOps' exit status for it, where that is asked for: what its init writes has to be filled in."""

# Lines with `#:` are settings; without the mark they validate, each section alone and all together.
TEMPLATE = """\
# pipeline.yml of this environment: where releases come from, where records are published, where they are seeded.
#
# Everything here is optional. As it stands, records are built from VyOS' rolling releases and published into a
# directory below this runtime root. Lines that begin with `#:` are settings: take the mark away to set them.
# Secrets never stand in this file: a site names the variable of the environment that holds its token.

# The release feed. `mirror` is asked for ISOs first: upstream keeps only thirty builds.
#:feed:
#:  mirror: https://mirror.example.com/vyos
#:  poll_seconds: 3600
# `running` lets the sensor ask for new releases by itself, while `hyops dev` or a daemon runs.
#:  sensor: stopped

# How disks are built. `native` needs no root, no KVM and no loop devices; docs/build-methods.md has the others.
#:build:
#:  record_key: vyos-1.5
#:  method: native
#:  disk_bytes: 4294967296
#:  console: ttyS0
# Debian's sources of the ISO's own suite. Unset, the host's own Debian mirror is asked for it, whatever suite it runs.
#:  apt_sources:
#:    - line: deb https://deb.debian.org/debian bookworm main
#:      keyring: /usr/share/keyrings/debian-archive-keyring.gpg

# The object repository: a public bucket of Google Cloud Storage. Its key comes from the environment, as
# HYOPS_VYOS_GCS_SA_JSON_FILE (a path) or HYOPS_VYOS_GCS_SA_JSON; without either, from Google's own tools.
#:repository:
#:  kind: gcs
#:  bucket: hyops-dev-vyos-records-a1
# Or one of an S3 service: `kind: s3` with a bucket and, for Hetzner Object Storage,
# `endpoint: https://fsn1.your-objectstorage.com`. Its key is AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

# Where records are seeded. `default: true` marks the site whose state is latest.json.
# `seed: auto` seeds every new record by itself; real clouds cost money, so `manual` is the default. `canary: true`
# seeds a site before the others of its cloud.
#:sites:
#:  proxmox:
#:    main:
#:      host: pve1.example.com
#:      node: pve1
# The token's secret is read from the variable that token_env names.
#:      token_id: hyops@pve!seed
#:      token_env: PROXMOX_TOKEN
#:      storage: local-lvm
#:      import_storage: local
#:      bridge: vmbr0
#:      vmid_range: [9200, 9299]
#:      default: true
#:  hetzner:
#:    main:
#:      token_env: HCLOUD_TOKEN
#:      locations: [fsn1, nbg1, hel1]
#:      snapshot_limit: 30
#:      paid_seeds_a_day: 5
#:      default: true

# Many sites: how long the others wait for the canaries, and how many images may be created in a day over all sites.
#:seeding:
#:  rest_after_minutes: 60
#:  paid_seeds_a_day: 20
"""


def write_template(place: Place, *, force: bool, sites: AskedSites) -> None:
    """Write the template, readable by its owner only, and the sites that were asked for, each checked before.

    Raises:
        Refused: there is a `pipeline.yml` already, or a value is none that a site takes.
        SiteNotReached: a site does not answer as a seed needs it; nothing was written.
    """
    path = place.root.settings_file
    if not force and (path.exists() or path.is_symlink()):
        raise Refused(f"{path} is there already", hint="edit it, or replace it with --force")
    text = TEMPLATE
    if sites.any:
        text += f"\n# Written by hyops init.\n{sites_text(sites)}"
    make_private(path.parent, below=place.root.path)
    ensure_environment_id(place.root)
    write_private(path, text.encode())
    typer.echo(f"{'settings' if sites.any else 'template'} written: {path}")
    typer.echo(f"next: {'' if sites.any else 'edit it, then '}hyops preflight {place.flag}".rstrip())
