"""The key layout, the names that may be part of it, and the digest of a suppressed key."""

import pytest

from activation.engine import profiles


def test_the_key_of_the_hosted_writer_s_test_case_is_ours_too() -> None:
    key = profiles.key(
        "some-workspace-id", "1WhcOCGgj9asZu850HvugU2C3Aq", "some-entity", "some-id-type", "some-user-id"
    )
    assert key == "some-workspace-id:1WhcOCGgj9asZu850HvugU2C3Aq:some-entity:some-id-type:some-user-id"


@pytest.mark.parametrize("value", ["a:b", "{a}", "é😀", " ", "a\nb", ""])
def test_a_value_goes_into_the_key_as_it_is(value: str) -> None:
    assert profiles.key("w", "d", "user", "email", value) == "w:d:user:email:" + value


@pytest.mark.parametrize("text", ["a", "x" * 100, "{braces}", "1WhcOCGgj9asZu850HvugU2C3Aq", "ä"])
def test_an_adopted_id_without_blanks_and_colons_is_taken(text: str) -> None:
    assert profiles.check_adopted_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 101, "a b", "a:b", "a\n", "\u00a0", "a\u2028b", "a\0b"])
def test_an_adopted_id_with_blanks_colons_or_a_wrong_length_is_refused(text: str) -> None:
    with pytest.raises(profiles.NameRefused):
        profiles.check_adopted_id(text)


def test_an_entity_may_have_any_name_but_the_one_kept_for_the_sync_itself() -> None:
    assert profiles.check_entity("user") == "user"
    for name in ("_activation", "", "  "):
        with pytest.raises(profiles.NameRefused):
            profiles.check_entity(name)


def test_normalising_trims_and_lowers_ascii_only() -> None:
    assert profiles.normalise(" \t\n\r\f\vA@X.COM \v", ("trim", "lower")) == "a@x.com"
    assert profiles.normalise("\u00a0ÉİA\u2003", ("trim", "lower")) == "\u00a0Éİa\u2003"
    assert profiles.normalise(" A ", ()) == " A "
    with pytest.raises(ValueError, match="reverse"):
        profiles.normalise("a", ("reverse",))


def test_a_digest_depends_on_the_secret_and_the_whole_key() -> None:
    digests = {
        profiles.suppression_digest(secret, key)
        for secret in (b"one", b"two")
        for key in ("w:d:user:email:a", "w:d:user:email:b")
    }
    assert len(digests) == 4
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in digests)
