"""Install the engine under another schema name, by rewriting identifiers and nothing else.

The SQL sources name their schema literally. PostgreSQL keeps function bodies as text, so a schema
cannot simply be renamed after the fact; instead the token ``pyengine`` is replaced before the text
is sent. Where an identifier ends and a string or a comment begins is decided by PostgreSQL's own
lexical rules, which this module follows exactly.
"""

import re
from collections.abc import Iterator

SOURCE_SCHEMA = "pyengine"

# One alternative for each lexical form, tried in this order at each position. What is left over
# (operators, numbers, punctuation) is taken a character at a time. A string or comment that never
# ends runs to the end of the text, as it does for the server.
_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\n\r\f\v]+)
    | (?P<line_comment>--[^\r\n]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>[eE]'(?:[^'\\]|\\.|''|'[ \t\f\v]*[\r\n][ \t\n\r\f\v]*')*(?:'|\Z))
    | (?P<string>(?:[uU]&|[bBxXnN])?'(?:[^']|'')*(?:'|\Z))
    | (?P<unicode_name>[uU]&"(?:[^"]|"")*(?:"|\Z))
    | (?P<quoted_name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
    | (?P<name>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<number>[0-9][0-9A-Za-z_]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
BLANK = frozenset({"space", "line_comment", "block_comment"})


def rename_schema(sql_text: str, schema: str) -> str:
    """Rewrite SQL written for the schema ``pyengine`` so that it works on another schema.

    Replaced is the identifier ``pyengine`` where it qualifies a name (``pyengine.workflows``) or is
    named as a schema (``on schema pyengine``), at the top level and inside dollar-quoted function
    bodies. Quoted strings, comments and longer identifiers (``pyengine_worker``) stay as they are.

    Args:
        sql_text: one or more SQL statements.
        schema: the name wanted; any name PostgreSQL accepts, given without quotes.

    Returns:
        The text with the name replaced, always in quotes, so that a keyword works too.
    """
    if schema == SOURCE_SCHEMA:
        return sql_text
    return rewrite_schema(sql_text, quote_name(schema))


def rewrite_schema(sql_text: str, replacement: str) -> str:
    """As `rename_schema`, with the SQL text that is to stand for the schema: a quoted name, or a placeholder."""
    return _rename(sql_text, replacement)


def quote_name(name: str) -> str:
    """Return an identifier in double quotes, as SQL text."""
    return '"' + name.replace('"', '""') + '"'


def _rename(text: str, replacement: str) -> str:
    found = list(tokens(text))
    meaningful = [i for i, (kind, _) in enumerate(found) if kind not in BLANK]
    written = [lexeme for _, lexeme in found]
    for position, i in enumerate(meaningful):
        kind, lexeme = found[i]
        if kind == "body":
            delimiter = lexeme[: lexeme.index("$", 1) + 1]
            body = lexeme[len(delimiter) :].removesuffix(delimiter)
            closing = lexeme[len(delimiter) + len(body) :]
            written[i] = delimiter + _rename(body, replacement) + closing
        elif _is_source_schema(kind, lexeme):
            before = found[meaningful[position - 1]] if position else ("", "")
            after = found[meaningful[position + 1]] if position + 1 < len(meaningful) else ("", "")
            if before[1] != "." and (after[1] == "." or _is_word(before, "schema")):
                written[i] = replacement
    return "".join(written)


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) for each token of SQL; a dollar-quoted body is one token of kind ``body``."""
    position = 0
    while match := _TOKEN.match(text, position):
        kind, end = match.lastgroup or "", match.end()
        if kind == "dollar":
            closing = text.find(match.group(), end)
            end = len(text) if closing < 0 else closing + len(match.group())
            kind = "body"
        elif kind == "block_comment":
            end = _end_of_comment(text, end)
        yield kind, text[position:end]
        position = end


def _end_of_comment(text: str, position: int) -> int:
    """Find the end of a block comment opened before `position`; PostgreSQL's comments nest."""
    depth = 1
    while depth and (edge := _COMMENT_EDGE.search(text, position)):
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return len(text) if depth else position


def _is_source_schema(kind: str, lexeme: str) -> bool:
    if kind == "name":
        return lexeme.lower() == SOURCE_SCHEMA
    return kind == "quoted_name" and lexeme == f'"{SOURCE_SCHEMA}"'


def _is_word(token: tuple[str, str], word: str) -> bool:
    return token[0] == "name" and token[1].lower() == word
