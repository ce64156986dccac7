"""Taking in an ISO: who signed it, whether it is whole, and whether it is the release that was asked for."""
