#!/usr/bin/env bash
# Runs make targets in a fresh Debian: newcomer.sh SUITE TARGET... The system has what an installation has, and git and
# make besides; in it is a clone of this repository's last commit. Of this machine it knows only how the outside is
# reached: mirror, proxies, certificates, pip's settings. As root; takes some 8 GiB in TMPDIR, removed at the end.
set -euo pipefail
suite=$1
shift
[ "$(id -u)" -eq 0 ] || { echo "make elsewhere runs as root: it makes a system and installs into it" >&2; exit 1; }
repository=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
[ -z "$(git -C "$repository" status --porcelain)" ] || echo "Not in it: what is not committed"

# The mirror that this machine's own Debian packages come from has the other suites too.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian')
mirror=${mirror%%$'\n'*}
[ -n "$mirror" ] || { echo "apt names no Debian mirror: run apt-get update, or add a source of Debian" >&2; exit 1; }

root=$(mktemp --directory --tmpdir "hyops-elsewhere-$suite.XXXXXX")
# As an installed system's: apt's own user reads below it.
chmod 755 "$root"
trap 'status=$?; rm -rf --one-file-system "$root"; echo "== Debian $suite ended with $status"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "== Debian $suite"
mmdebstrap --quiet --mode=root --variant=important --include=ca-certificates,git,make "$suite" "$root" "$mirror"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/pip.conf"
# Where other users may enter, as the tests run some programs as one.
git clone --quiet --no-hardlinks "$repository" "$root/srv/pipeline"

environment=(--setenv HOME /root --setenv PATH /usr/sbin:/usr/bin:/sbin:/bin --setenv LANG C.UTF-8)
while IFS='=' read -r -d '' name value; do
  case $name in
    *_proxy | *_PROXY | PIP_* | UV_* | SSL_CERT_* | *_CA_BUNDLE | *_CA_CERTS) environment+=(--setenv "$name" "$value") ;;
  esac
done < <(env --null)

# A root of its own: in a chroot no program can make the namespaces that the lab's nodes live in. The processes are
# unshare's to end, and /proc is its: over bwrap's, parts of which are read-only, the kernel lets the lab mount none.
inside() {
  unshare --pid --fork --kill-child --mount-proc \
    bwrap --bind "$root" / --dev /dev --dev-bind-try /dev/kvm /dev/kvm --bind /proc /proc --ro-bind /sys /sys \
    --tmpfs /run --ro-bind /etc/resolv.conf /etc/resolv.conf --ro-bind /etc/hosts /etc/hosts \
    --unshare-ipc --unshare-uts --hostname newcomer --cap-add ALL --die-with-parent \
    --clearenv "${environment[@]}" --chdir /srv/pipeline -- "$@"
}

# A proxy's authority is trusted there as it is here. The bundle is one file: a warning, and no hash link for it.
cp /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/this-machine.crt"
inside update-ca-certificates
for target in "$@"; do
  echo "== Debian $suite: make $target"
  inside make "$target"
done
