"""What a shell prints of a check that did not pass: words for people, never a structure of the program."""

from hyops_assets.cli.graph import apart, as_sentence


def test_a_boot_that_failed_is_reported_in_its_own_words_line_by_line() -> None:
    said = "the disk did not boot under BIOS: no proof\nconsole, last lines:\nlogin:\n  next: read them"
    facts = {"subject_sha256": "a" * 64, "firmware": "bios", "accelerator": "tcg", "why": "no KVM", "failure": said}
    assert as_sentence(facts) == said


def test_a_question_about_the_disk_is_answered_by_what_was_found() -> None:
    assert as_sentence({"subject_sha256": "a" * 64, "found": "a host key: /etc/ssh/x"}) == "a host key: /etc/ssh/x"


def test_digests_that_differ_are_named() -> None:
    facts = {"subject_sha256": "a", "expected": "b", "qcow2": "b", "raw.xz": "c", "examined_at": "2026-11-30"}
    assert as_sentence(facts) == "expected b; qcow2 b; raw.xz c"
    assert as_sentence({}) == "it gives no reason"


def test_a_cause_s_own_next_step_is_the_only_one() -> None:
    assert apart("seed: SiteNotReady: the site answers 401\n  next: set HCLOUD_TOKEN") == (
        "seed: SiteNotReady: the site answers 401",
        "set HCLOUD_TOKEN",
    )
    assert apart("the event log says why") == ("the event log says why", "")
