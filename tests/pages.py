"""Reads a page as a browser does: its tables, and the JSON that it embeds."""

import json
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects rows of tables as (text, number) pairs, facts, scripts, and every element that the markup opens."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tables, self.facts, self.scripts, self.tags = {}, {}, [], []
        self._fact, self._term, self._facts = None, "", False
        self._table, self._cell, self._script, self._value = None, None, None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        if tag == "table":
            self._table = self.tables.setdefault(given["data-table"], [])
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th") and self._table is not None:
            self._cell, self._value = "", given.get("data-value")
        elif tag == "dl":
            self._facts = given.get("class") == "facts"
        elif tag in ("dt", "dd", "details"):
            self._fact = tag if self._facts else None
            self._term = "" if tag == "dt" else self._term
        elif tag == "script":
            self._script = ""

    def handle_endtag(self, tag):
        if tag == "table":
            self._table = None
        elif tag in ("td", "th") and self._cell is not None:
            self._table[-1].append((self._cell, None if self._value is None else float(self._value)))
            self._cell = None
        elif tag in ("dt", "dd"):
            self._fact = None
        elif tag == "script":
            self.scripts.append(self._script)
            self._script = None

    def handle_data(self, data):
        if self._script is not None:
            self._script += data
        elif self._cell is not None:
            self._cell += data
        elif self._fact == "dt":
            self._term += data
        elif self._fact == "dd":
            self.facts[self._term] = self.facts.get(self._term, "") + data

    @property
    def book(self):
        return json.loads(self.scripts[0])
