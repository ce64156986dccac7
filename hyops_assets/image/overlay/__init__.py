"""The overlay `rw/`: Debian packages solved and locked, files of the guest, the helper, as one tree of files."""
