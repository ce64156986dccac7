"""A stand-in of an S3 service: signatures, conditions, parts and refusals as Amazon documents them.

It is stricter than the services where those are lax: a signature, a checksum or a clock that is wrong is refused, and
so is a condition that S3 does not know. What a weaker service leaves out is a switch of the bucket (`store.Conduct`).
"""
