"""Text that others wrote, made safe and honest to look at: no terminal escapes, nothing invisible."""

import unicodedata
from collections.abc import Iterable

# Letters and marks that take no room on a screen, though Unicode does not call them format characters:
# Hangul and Khmer fillers, the blank of Braille, the grapheme joiner, Mongolian and other variation selectors.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


def shown(value: object) -> str:
    """Return a value as one line that a terminal or a page can show, in which every character can be seen.

    A character that is invisible, moves the cursor or changes the writing direction is written `<U+200B>`. So are
    a blank at either end, all but the first of several blanks, and a combining mark where one letter would say the
    same: each of them makes two ids look alike.
    """
    text = str(value)
    if text.isascii() and text.isprintable() and "  " not in text and text == text.strip():
        return text
    composed = unicodedata.is_normalized("NFC", text)
    last = len(text) - 1
    parts = []
    for place, char in enumerate(text):
        if char == " ":
            visible = 0 < place < last and text[place - 1] != " "
        elif "\ufe00" <= char <= "\ufe0f" or char in _BLANK_LETTERS:
            visible = False
        else:
            visible = unicodedata.category(char) not in _INVISIBLE_CATEGORIES
            visible = visible and (composed or _is_composed(char))
        parts.append(char if visible else f"<U+{ord(char):04X}>")
    return "".join(parts)


def _is_composed(char: str) -> bool:
    """Say whether a character of a text that is not composed can stay: no mark, half syllable or double of a letter."""
    is_half = "\u1160" <= char <= "\u11ff"
    return not unicodedata.combining(char) and not is_half and unicodedata.is_normalized("NFC", char)


def shown_lines(text: str) -> str:
    """Return a text of several lines, each without terminal escapes; the indentation of a line stays."""
    return "\n".join(_without_controls(line) for line in text.split("\n"))


def _without_controls(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() or char == "\t" else f"<U+{ord(char):04X}>" for char in line)


def shown_list(values: Iterable[object]) -> str:
    """Return values, each as `shown` has it, with commas between."""
    return ", ".join(map(shown, values))
