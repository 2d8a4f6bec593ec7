"""The tags of our pages, by a parser that fails at any other."""

from __future__ import annotations

from html.parser import HTMLParser

TAGS = {"html", "head", "meta", "title", "style", "body", "small", "div", "h1", "p", "ul", "li", "a", "b", "span"}
ATTRIBUTES = {"lang", "charset", "name", "content", "href", "role", "id", "hidden", "class", "tabindex"}
LIVE_TAGS = {"script", "form", "button"}
LIVE_ATTRIBUTES = {"method", "action", "data-log", "data-kind", "data-after", "data-safe"}


class Tags(HTMLParser):
    """The text between the tags of a page; whoever could add a tag of their own is found out.

    ``live``: it is one that follows a log, with one script and one form.
    """

    def __init__(self, page: str, live: bool = False) -> None:
        super().__init__()
        self.text = ""
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._tags = TAGS | (LIVE_TAGS if live else set())
        self._attributes = ATTRIBUTES | (LIVE_ATTRIBUTES if live else set())
        self.feed(page)
        self.close()
        assert sum(tag in ("script", "form") for tag, _ in self.seen) == (2 if live else 0)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self._tags, tag
        for name, value in attrs:
            assert name in self._attributes or name.startswith("aria-"), name
            assert name != "href" or (value or "").startswith("http://"), value
        self.seen.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str) -> dict[str, str]:
        """Those of the one that there is."""
        (found,) = [attributes for each, attributes in self.seen if each == tag]
        return found
