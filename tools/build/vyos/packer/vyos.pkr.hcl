// Runs VyOS' own installer from an ISO on an empty disk. Nothing is typed by timers: the installer's questions are
// answered on the serial console by whoever listens on `console` (hyops_assets/image/methods/packer.py), and the
// build ends when the machine powers itself off.

variable "iso" {
  type        = string
  description = "Path of the ISO; its signature has been verified."
}

variable "output_directory" {
  type        = string
  description = "Receives installed.raw; must not exist."
}

variable "console" {
  type        = string
  description = "Unix socket that listens for the machine's serial console."
}

variable "qemu" {
  type        = string
  description = "QEMU's program."
}

variable "accelerator" {
  type        = string
  description = "kvm or tcg, as a probe found it. A disk built under tcg is for debugging."
}

variable "cpu" {
  type = string
}

variable "disk_mib" {
  type = string
}

variable "memory_mib" {
  type = string
}

variable "timeout" {
  type        = string
  description = "Longest time from power-on to power-off, such as 3600s."
}

source "qemu" "vyos" {
  iso_url = var.iso
  // Its minisign signature and its sha256sum.txt were verified before.
  iso_checksum     = "none"
  output_directory = var.output_directory
  vm_name          = "installed.raw"
  format           = "raw"
  disk_size        = "${var.disk_mib}M"
  disk_interface   = "virtio"
  disk_cache       = "unsafe"
  skip_compaction  = true
  qemu_binary      = var.qemu
  accelerator      = var.accelerator
  machine_type     = "q35"
  cpus             = 2
  memory           = var.memory_mib
  headless         = true
  disable_vnc      = true
  communicator     = "none"
  boot_wait        = "0s"
  shutdown_timeout = var.timeout
  qemuargs = [
    ["-serial", "unix:${var.console}"],
    ["-cpu", var.cpu],
    // An installer that never saw a network cannot have brought anything from it.
    ["-netdev", "user,id=user.0,restrict=on"],
    ["-vnc", "none"],
    ["-display", "none"],
  ]
}

build {
  sources = ["source.qemu.vyos"]
}
