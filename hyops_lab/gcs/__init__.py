"""A stand-in for Google Cloud Storage: the JSON API, uploads, public reads and the token endpoint, on loopback.

It refuses what the service refuses: a wrong generation, a wrong checksum, a chunk of the wrong size, a caller without
the permission, a deletion under retention. What is written in its directory outlives a restart.

Source of its manners: https://cloud.google.com/storage/docs/json_api and the pages named in its modules.
"""
