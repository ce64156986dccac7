"""The parts of a disk, written without mounts: partition table, file systems, boot loader."""
