"""The pictures are valid PNGs, differ, and are readable."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest

from autoglm_doctor.probes.serving.screenshot import _FONT, _WORDS, data_uri, picture, screenshot


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and RGB rows, by a reader of its own that checks every part."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length]) == (zlib.crc32(name + data),)
        parts.append((name, data))
        at += 12 + length
    assert [name for name, _ in parts] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", parts[0][1])
    assert rest == [8, 2, 0, 0, 0]
    rows = zlib.decompress(parts[1][1])
    assert len(rows) == height * (1 + 3 * width)
    assert not any(rows[:: 1 + 3 * width]), "no filter"
    return width, height, b"".join(rows[i * (1 + 3 * width) + 1 : (i + 1) * (1 + 3 * width)] for i in range(height))


@pytest.mark.parametrize("size", [(1080, 2400), (270, 600), (112, 112), (28, 28), (1, 1), (2000, 100)], ids=str)
def test_any_size(size: tuple[int, int]) -> None:
    light, dark = (pixels(screenshot(size, theme)) for theme in ("light", "dark"))
    assert light[:2] == dark[:2] == size
    assert light[2] != dark[2]
    assert pixels(picture(size, 1))[:2] == size


@pytest.mark.parametrize("size", [(1080, 2400), (56, 56)], ids=["a phone's", "tiny"])
def test_every_seed_is_another_picture(size: tuple[int, int]) -> None:
    assert len({picture(size, seed) for seed in range(20)}) == 20
    assert picture(size, 3) == picture(size, 3)


def test_there_is_a_glyph_for_every_letter_shown() -> None:
    letters = {letter for words in _WORDS.values() for word in words for letter in word} - {" "}
    assert letters <= set(_FONT)
    assert set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") <= set(_FONT)
    assert len(set(_FONT.values())) == len(_FONT), "no two look the same"


def test_words_are_drawn_as_their_dots() -> None:
    """The W of "Where to?" in the dark theme's search field, read back dot by dot."""
    width, _, rgb = pixels(screenshot((360, 800), "dark"))
    unit, back = 2, (46, 50, 60)
    left, top = 16 * unit, (62 + 8) * unit

    def is_dot(x: int, y: int) -> bool:
        at = 3 * ((top + y * unit) * width + left + x * unit)
        return tuple(rgb[at : at + 3]) != back

    drawn = ["".join(".#"[is_dot(x, y)] for x in range(5)) for y in range(7)]
    assert drawn == ["#...#", "#...#", "#...#", "#.#.#", "#.#.#", "#.#.#", ".#.#."]


def test_data_uri() -> None:
    head, _, data = data_uri(b"abc").partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == b"abc"
