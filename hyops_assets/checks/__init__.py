"""Asset checks: the gates of a record, and the audits of what was published and seeded."""
