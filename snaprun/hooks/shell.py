"""Quote words for a POSIX shell, and for the reader of a command to paste."""


def quote(word: str) -> str:
    """A word as a shell takes it, in quotes only where it needs them."""
    plain = all(char.isalnum() or char in "_./+=:,@%-" for char in word) and not word.startswith("-")
    return word if plain else single_quote(word)


def single_quote(word: str) -> str:
    """A word in single quotes, whatever is in it."""
    return "'" + word.replace("'", "'\\''") + "'"


def unquote(text: str) -> str:
    """The word that :func:`single_quote` made ``text`` of."""
    return text[1:-1].replace("'\\''", "'")
