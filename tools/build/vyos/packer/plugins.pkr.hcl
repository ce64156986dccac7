// Packer 1.7 and later find the qemu builder in a plugin; Debian's 1.6.6 has it built in and does not know this
// block, so it stands in a file of its own. Install it once: packer plugins install github.com/hashicorp/qemu

packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.0.0"
    }
  }
}
