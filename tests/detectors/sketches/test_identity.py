"""Ids to hashes."""

import numpy as np

from detectors.columns import Coded
from detectors.sketches.identity import hashed, hashes_of

KNOWN = {  # fixed for good: saved samples hold such hashes
    b"r-1": 0x190642E0C96E335A,
    b"7": 0x81B4957A05FE931E,
    b"0b1c9f6e-4c0e-4b1a-9a53-8d8f2f8f4a10": 0x6B17DE653DF23948,
    b"x" * 200: 0xD9921BDC8BB08D8F,
}


def of(*ids: object) -> list[int]:
    return [int(each) for each in hashes_of(np.array([*ids, None], dtype=object)[:-1], len(ids))]


def test_hashes_are_the_same_in_every_process() -> None:
    assert {text: int(hashed([text])[0]) for text in KNOWN} == KNOWN


def test_a_hash_does_not_depend_on_what_else_is_in_the_batch() -> None:
    texts = [b"a" * size for size in range(130)]

    assert hashed(texts).tolist() == [int(hashed([text])[0]) for text in texts]
    assert len(set(hashed(texts).tolist())) == len(texts)


def test_a_number_and_its_text_are_the_same_id() -> None:
    assert of(7, 7.0, True) == of("7", "7", "true")


def test_what_is_no_id_has_none() -> None:
    assert of(None, "", float("nan"), float("inf"), {"a": 1}, [1]) == [0] * 6
    assert hashes_of(None, 2).tolist() == [0, 0]


def test_a_coded_column_has_the_hashes_of_its_values() -> None:
    column = Coded(("a", None, 3), np.array([0, 2, 1, 0]))

    assert hashes_of(column, 4).tolist() == of("a", 3, None, "a")
