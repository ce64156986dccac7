"""Build methods: ways to make a raw disk of an ISO and an overlay, one file each."""
