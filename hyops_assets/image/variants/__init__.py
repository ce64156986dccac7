"""The variants of a disk: qcow2 and raw.xz, encoded, and decoded again to be compared."""
