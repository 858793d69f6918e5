"""Pictures of a phone's screen, drawn with nothing but zlib: words that a model can read, and never the same twice.

The canvas holds one byte a pixel, an index into a palette; rows become RGB only when they are written, since not every
server reads a palette PNG.
"""

from __future__ import annotations

import base64
import random
import struct
import zlib
from collections.abc import Sequence

#: 5 x 7 dots a glyph: one digit of base 32 a row, the highest bit on the left.
_GLYPHS = (
    "AEHHVHHH BUHHUHHU CEHGGGHE DSIHHHIS EVGGUGGV FVGGUGGG GEHGNHHF HHHHVHHH IE44444E J72222IC KHIKOKIH LGGGGGGV "
    "MHRLLHHH NHHPLJHH OEHHHHHE PUHHUGGG QEHHHLID RUHHUKIH SFGGE11U TV444444 UHHHHHHE VHHHHHA4 WHHHLLLA XHHA4AHH "
    "YHHHA444 ZV1248GV a00E1FHF bGGMPHHU c00EGGHE d11DJHHF e00EHVGE f698S888 g0FHHF1E hGGMPHHH i40C444E j20622IC "
    "kGGIKOKI lC44444E m00QLLHH n00MPHHH o00EHHHE p00UHUGG q00DJF11 r00MPGGG s00FGE1U t88S8896 u00HHHJD v00HHHA4 "
    "w00HHLLA x00HA4AH y00HHF1E z00V248V 0EHJLPHE 14C4444E 2EH1248V 3V2421HE 426AIV22 5VGU11HE 668GUHHE 7V124888 "
    "8EHHEHHE 9EHHF12C :0440440 .00000CC ,00000C4 %OP248J3 -000V000 /01248G0 !4444404 ?EH12404 '4480000 (2488842 "
    ")8422248 +044V440"
)
_FONT = {glyph[0]: tuple(int(digit, 32) for digit in glyph[1:]) for glyph in _GLYPHS.split()}

Color = tuple[int, int, int]
BACK, INK, FIELD, FAINT, FIRST_ICON = range(5)
_THEMES: dict[str, tuple[Color, Color, Color, Color]] = {
    "light": ((244, 246, 250), (24, 28, 36), (255, 255, 255), (128, 134, 146)),
    "dark": ((16, 18, 24), (232, 236, 244), (46, 50, 60), (150, 156, 168)),
}
_ICONS: tuple[Color, ...] = (
    (219, 68, 55), (66, 133, 244), (15, 157, 88), (244, 160, 0), (126, 87, 194),
    (0, 172, 193), (236, 64, 122), (109, 76, 65),
)  # fmt: skip
_WORDS = {
    "light": ("09:41", "5G 87%", "Search apps", "Monday", "Settings", "Camera", "Mail", "Maps", "Music", "Clock",
              "Notes", "Photos", "Chrome", "Phone", "Wallet", "Files"),
    "dark": ("22:05", "WiFi 14%", "Where to?", "Flight mode", "Taxi", "Hotels", "Trains", "Weather", "Bank", "Food",
             "Tickets", "Translate", "Radio", "Sport", "News", "Games"),
}  # fmt: skip


class _Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._rows = [bytearray(width) for _ in range(height)]

    def box(self, left: int, top: int, width: int, height: int, color: int) -> None:
        left, right = max(0, left), min(self.width, left + width)
        if right <= left:
            return
        line = bytes([color]) * (right - left)
        for row in self._rows[max(0, top) : max(0, top + height)]:
            row[left:right] = line

    def words(self, left: int, top: int, scale: int, text: str, color: int) -> None:
        for place, letter in enumerate(text):
            for y, bits in enumerate(_FONT.get(letter, ())):
                for x in range(5):
                    if bits & (16 >> x):
                        self.box(left + (6 * place + x) * scale, top + y * scale, scale, scale, color)

    def png(self, palette: Sequence[Color]) -> bytes:
        planes = [bytes(color[i] for color in palette).ljust(256, b"\0") for i in range(3)]
        done: dict[bytes, bytes] = {}
        lines = []
        for row in map(bytes, self._rows):
            if row not in done:
                line = bytearray(1 + 3 * self.width)
                for i, plane in enumerate(planes):
                    line[1 + i :: 3] = row.translate(plane)
                done[row] = bytes(line)
            lines.append(done[row])
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines), 1)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_part(*part) for part in parts)


def _part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def screenshot(size: tuple[int, int], theme: str = "light", words: Sequence[str] = (), shuffle: int = 0) -> bytes:
    """A PNG of a home screen: "light" or "dark", which differ in words and places. `size` is width and height.

    `words` are shown besides; `shuffle` moves icons and colours about.
    """
    canvas = _Canvas(max(1, size[0]), max(1, size[1]))
    colors = list(_ICONS)
    if shuffle:
        random.Random(shuffle).shuffle(colors)  # noqa: S311  no secret
    clock, right, search, title, *apps = _WORDS[theme]
    unit = max(1, canvas.width // 180)  # a dot of small letters: 6 pixels on a screen of 1080
    _status_bar(canvas, unit, clock, right)
    top = _search(canvas, unit, search, title, low=theme == "dark")
    for place, line in enumerate(words):
        canvas.words(8 * unit, top + place * 10 * unit, unit, line, INK)
    _icons(canvas, unit, top + 10 * unit * len(words), apps[shuffle % 5 :] + apps[: shuffle % 5])
    if shuffle:
        _stripes(canvas, unit, shuffle)
    return canvas.png([*_THEMES[theme], *colors])


def _status_bar(canvas: _Canvas, unit: int, clock: str, right: str) -> None:
    canvas.words(6 * unit, 4 * unit, unit, clock, INK)
    canvas.words(canvas.width - (6 * len(right) + 6) * unit, 4 * unit, unit, right, INK)


def _search(canvas: _Canvas, unit: int, words: str, title: str, *, low: bool) -> int:
    """The search field above or below the title; returns where the icons may begin."""
    title_top, field_top = (24 * unit, 62 * unit) if low else (62 * unit, 24 * unit)
    canvas.words(8 * unit, title_top + 6 * unit, 2 * unit, title, INK)
    canvas.box(8 * unit, field_top, canvas.width - 16 * unit, 22 * unit, FIELD)
    canvas.words(16 * unit, field_top + 8 * unit, unit, words, FAINT)
    return 100 * unit


def _icons(canvas: _Canvas, unit: int, top: int, apps: Sequence[str]) -> None:
    columns, side = 3, 34 * unit
    step_x, step_y = canvas.width // columns, 64 * unit
    for place, name in enumerate(apps):
        left = place % columns * step_x + (step_x - side) // 2
        y = top + place // columns * step_y
        canvas.box(left, y, side, side, FIRST_ICON + place % len(_ICONS))
        canvas.words(left + 9 * unit, y + 7 * unit, 3 * unit, name[0], FIELD)
        canvas.words(left + (side - 6 * len(name) * unit) // 2, y + side + 4 * unit, unit, name, INK)


def _stripes(canvas: _Canvas, unit: int, number: int) -> None:
    """The number in colours along the upper edge: a picture too small for words is still another one."""
    width = max(1, canvas.width // 10)
    for place in range(10):
        color = FIRST_ICON + (number >> 3 * place) % len(_ICONS)
        canvas.box(place * width, 0, width, 3 * unit, color)


def picture(size: tuple[int, int], seed: int) -> bytes:
    """A screen that no server has seen before: other words, places and colours for each seed."""
    source = random.Random(seed)  # noqa: S311  no secret
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = ["".join(source.choice(letters) for _ in range(20)) for _ in range(3)]
    return screenshot(size, source.choice(sorted(_THEMES)), words, source.randrange(1, 2**30))


def data_uri(png: bytes) -> str:
    """The form in which these servers take a picture."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
