"""The one list of hostile texts and values, with which rules, records and all outputs are tested.

A text that breaks any output is added here, so that every other output is tested with it.
"""

import re
from typing import Any

HTML = "</script></style><script>window.owned=1</script>"
HTML += "<img src=x onerror='window.owned=2'>\"'`{{7*7}}"

SHORT = {
    "nothing": "",
    "a blank": " ",
    "markup of rich": "[/b][red]",
    "an emoji of rich": ":warning: [link=https://example.com]x[/link]",
    "clears the screen": "a\x1b[2Jb",
    "title of the window": "\x1b]0;owned\x07",
    "link of a terminal": "\x1b]8;;https://example.com\x1b\\x\x1b]8;;\x1b\\",
    "control sequence in one character": "\x9b31m",
    "backspace and delete": "ab\x08\x08\x7f",
    "NUL": "a\0b",
    "line break": "x\nALERT CRITICAL",
    "carriage return": "x\rALERT CRITICAL",
    "both": "x\r\nALERT CRITICAL",
    "other line breaks": "x\x85ALERT CRITICAL\u2028ALERT CRITICAL\u2029x\x0bx\x0cx\x1ex",
    "tab": "a\tb",
    "text direction": "\u202egnp.exe\u2066\u200f",
    "invisible": "a\u200b\ufeff\u00ad\u2060b\U000e0041",
    "marks on marks": "a" + "\u0301" * 40,
    "lookalike letters": "ʀᴏʟᴇ Аdmin",
    "digits that are not ASCII": "１２３٣",
    "high surrogate": "\ud800",
    "surrogates in the wrong order": "a\udc00\ud800b",
    "low surrogate before a letter": "\udc00x",
    "high surrogate after a backslash": "a\\\ud800",
    "outside of the first plane": "\U0001f600\U0010ffff\ufffe",
    "script": "<script>window.owned=1</script>",
    "end of a script": HTML,
    "end of an attribute": "'\"></title></style><b>bold</b>",
    "end of a list": "</dd></dl><iframe src='https://example.com'></iframe>",
    "image": "<img src=x onerror=window.owned=3>",
    "entity": "&lt;&#60;&amp;amp;",
    "address that runs code": "javascript:window.owned=4",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}#{7*7}",
    "XML": "]]><!--<?x?><!DOCTYPE x>",
    "Markdown": "[x](https://example.com) | # `x` ![x](https://example.com)",
    "formula": "=cmd|' /C calc'!A0",
    "sum": "+1+1",
    "difference": "-1-1",
    "function": "@SUM(1)",
    "wide formula": "＝1+1",
    "formula after a tab": "\t=1",
    "formula after a line break": "\r\n=1",
    "formula after a blank": " =1",
    "formula after an invisible character": "\0=1",
    "end of a cell": '","=1+1"\r\n"',
    "end of JSON": '"}\n{"rule_id": "owned"}',
    "JSON": '{"rule_id": ["owned"]}',
    "backslash": "\\",
    "escaped NUL": "\\u0000",
    "escaped surrogates": "\\ud800 \\\\udc00",
    "command of a runner": "::error file=x,line=1::owned",
    "command of a runner in a line": "x ##[warning]owned",
    "command of a runner in a second line": "x\n::error::owned\n  ##[error]owned",
    "percent": "%0A::error::owned %s %n %(x)s {0} {event!r}",
    "SQL": "'; DROP TABLE alerts; --",
    "shell": "$(touch owned)`touch owned`; touch owned &",
    "option": "--help",
    "folder": "../../../../etc/passwd",
    "header": "x\r\nX-Owned: 1\r\n\r\nowned",
    "pattern": "[!x*?(a+)+$",
    "infinity": "NaN",
    "YAML": "!!python/object/apply:os.system [id]",
}
COMMANDS = [text for name, text in SHORT.items() if name.startswith("command of a runner")]
FOR_TERMINALS = (
    *("markup of rich", "clears the screen", "title of the window", "both"),
    *("other line breaks", "control sequence in one character", "text direction"),
)
LONG = {
    "very long": "x" * 20_000,
    "very long, of words": "User: " + "a " * 20_000,
    "very long, of lines": "x\n" * 5_000,
    "very long, of controls": "\x1b[2J" * 5_000,
    "very long, of characters of three bytes": "日" * 30_000,
}
TEXTS = {**SHORT, **LONG}
# All short texts in one, formula first: a protection against one must not disable another.
ALL = SHORT["formula"] + "".join(SHORT.values())

# Python's JSON readers reject integers of more than 4300 digits.
OTHERS: list[Any] = [
    *(None, True, False, 0, -1, 1.5, -0.0, float("nan"), float("inf"), 1e308, 10**30, -(10**4000)),
    *([], {}, [None], [[]], ["x"] * 2000, {"a": {"b": {}}}, [[[[[[[[[[]]]]]]]]]], {"": None}),
    *(
        {"arn": {"arn": "x"}},
        [{"type": "IAMUser"}],
        {str(number): number for number in range(2000)},
    ),
]

WITH_HALVES = [text for text in SHORT.values() if re.search("[\ud800-\udfff]", text)]


def is_shown(text: str) -> bool:
    """Return whether a text is shown unchanged."""
    return text.isprintable()
