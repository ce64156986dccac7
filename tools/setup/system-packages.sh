#!/usr/bin/env bash
# Installs the Debian packages that are missing, and says which. Silent when nothing is missing. For Debian 12 and 13.
set -euo pipefail
packages=(
  python3-venv make jq
  xorriso squashfs-tools e2fsprogs dosfstools mtools gdisk xz-utils qemu-utils grub-common grub-pc-bin grub-efi-amd64-bin
  qemu-system-x86 ovmf
  busybox-static
  bubblewrap mmdebstrap fakechroot fakeroot minisign gnupg zstd curl openssl
  chromium
)
# Only one build method needs each; installed where the suite has it (Debian 13 has no packer). hyops doctor names it.
optional=(
  packer ansible-core
)
missing=()
for package in "${optional[@]}"; do
  # No answer of a machine without lists yet counts as none: the next run finds it.
  [ -z "$(apt-cache madison "$package" 2>/dev/null)" ] || packages+=("$package")
done
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "Installing Debian packages: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "Run as root, or install sudo: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update -qq
# sudo lets no variable through that stands before it.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
