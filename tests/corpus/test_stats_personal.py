"""What looks personal or secret is found where it is, with check digits worked out in another way, and never shown."""

import random
import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.corpus.stats.checksums import is_card_number, is_iban, is_resident_number, is_social_security_number
from cloudcpt.corpus.stats.personal import find_personal, masked


def kinds(text: str) -> list[str]:
    return [span.kind for span in find_personal(text)]


# Made by joining, so that no scanner takes this file for a leak.
SECRETS = {
    "private_key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "aws_access_key": "AKIA" + "IOSFODNN7EXAMPLE",
    "github_token": "ghp_" + "a1" * 18,
    "gitlab_token": "glpat-" + "x" * 20,
    "google_key": "AIza" + "b" * 35,
    "hugging_face_token": "hf_" + "Ab" * 17,
    "openai_key": "sk-" + "proj-" + "c" * 48,
    "slack_token": "xoxb-" + "123456789012-abcdefghij",
    "stripe_key": "sk_live_" + "d" * 24,
    "web_token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + "f" * 20,
}

FOUND = {
    "email": ["jane.doe+x@mail.example.co.uk", "a@b.io", "x_y%z@sub-domain.org"],
    "phone": [
        "+49 30 901820", "+1 (212) 555-0147", "(212) 555-0147", "212-555-0147", "212.555.0147", "+86 138 0013 8000",
        "13800138000", "+44 20 7946 0958",
    ],
    "ip_address": ["8.8.8.8", "2001:4860:4860::8888", "2a00:1450:4001:829::200e"],
    "credit_card": ["4111 1111 1111 1111", "5500-0055-5555-5559", "378282246310005", "6011111111111117"],
    "iban": ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32"],
    "us_ssn": ["219-09-9998"],
    "cn_resident_id": ["11010519491231002X", "440524188001010014"],
    **{kind: [text] for kind, text in SECRETS.items()},
}  # fmt: skip

NOT_FOUND = [
    "icon@2x.png", "@user said so", "a @ b.com", "me@localhost", "1.2.3", "10.0.0.1", "127.0.0.1", "192.168.1.10",
    "300.1.1.1", "12:30:45", "2021:01:02", "4111 1111 1111 1112", "1111111111111111", "3.14159265358979", "2019-2020",
    "2021-03-04 12:00:00", "000-12-3456", "666-12-3456", "912-12-3456", "123-00-4567", "123-45-0000",
    "DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "110105194912310021",
    "11010519491331002X", "123-555-0147", "ISBN 978-3-16-148410-0", "AKIAshort", "hf_short", "sk-learn",
    "std::vector<int>",
    "0.4111111111111111", "+4.0614962", "+0.00000000e+000", "77, 259-264 1970",
    "192.52.193.0/24", "build 20231101123456", "0x4111111111111111", "id_4111111111111111",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
@pytest.mark.parametrize("around", ["{}", "Write to {}, please.", "是{}。", "({})", "first\n{}\nlast"])
def test_what_has_the_form_is_found_once_and_where_it_is(kind: str, text: str, around: str) -> None:
    (span,) = find_personal(around.format(text))
    assert span.kind == kind
    assert around.format(text)[span.start : span.end].strip("()") in text


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_only_resembles_it_is_not_found(text: str) -> None:
    assert kinds(f"see {text} there") == []


def test_several_in_one_text_do_not_overlap_and_are_in_order() -> None:
    text = "a@b.org, DE89 3704 0044 0532 0130 00, 4111 1111 1111 1111 and +49 30 901820"
    assert kinds(text) == ["email", "iban", "credit_card", "phone"]


def test_masked_text_holds_nothing_of_it() -> None:
    assert masked("Mail jane@example.org or call 212-555-0147 now") == "Mail [email] or call [phone] now"
    assert masked("nothing here") == "nothing here"
    for kind, texts in FOUND.items():
        for text in texts:
            assert masked(f"<{text}>") == f"<[{kind}]>"


def luhn_by_table(digits: str) -> int:
    """The published table of doubled digits, from the right."""
    doubled = "0246813579"
    from_right = digits[::-1]
    return (sum(map(int, from_right[::2])) + sum(int(doubled[int(digit)]) for digit in from_right[1::2])) % 10


@given(st.from_regex(r"4[0-9]{15}", fullmatch=True))
def test_a_card_number_is_one_of_ten_that_differ_in_the_last_digit(digits: str) -> None:
    candidates = [digits[:-1] + last for last in string.digits]
    good = [text for text in candidates if is_card_number(text)]
    assert good == [text for text in candidates if luhn_by_table(text) == 0]
    assert len(good) == 1


@given(st.from_regex(r"[0-9]{18}", fullmatch=True))
def test_an_iban_has_the_check_digits_that_98_minus_the_remainder_gives(account: str) -> None:
    remainder = 0
    for sign in account + "131400":  # DE00, letters as numbers, digit by digit
        remainder = (remainder * 10 + int(sign)) % 97
    right = f"{98 - remainder:02}"
    for check in (f"{number:02}" for number in range(2, 99)):
        assert is_iban(f"DE{check}{account}") is (check == right)


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)), st.integers(0, 999), st.integers(110000, 659999))
def test_a_resident_number_has_the_check_digit_of_iso_7064(born: date, serial: int, region: int) -> None:
    digits = f"{region}{born:%Y%m%d}{serial:03}"
    remainder = 0  # ISO 7064 as a recursion, with radix 2 and modulus 11
    for digit in digits:
        remainder = (remainder + int(digit)) * 2 % 11
    check = (12 - remainder) % 11
    right = "X" if check == 10 else str(check)
    assert [last for last in "0123456789X" if is_resident_number(digits + last)] == [right]


def test_numbers_that_were_never_given_out_are_no_social_security_numbers() -> None:
    good = random.Random(1).choices(range(1, 900), k=50)
    assert all(is_social_security_number(f"{area:03}010001") for area in good if area != 666)
    assert not any(map(is_social_security_number, ("000010001", "666010001", "900010001", "219000001", "219010000")))
