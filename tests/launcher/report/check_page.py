"""check_page.py FILE...: are these pages of a report well-formed HTML that needs no other file?

Every element is closed in order, ids are unique, references within a page lead somewhere, and nothing is loaded.
"""
import html.parser
import re
import sys

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.uses, self.problems, self.text = [], set(), set(), [], []

    def handle_starttag(self, tag, attrs):
        self.look(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.look(tag, attrs)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"line {self.getpos()[0]}: </{tag}> closes nothing")

    def handle_data(self, data):
        self.text.append(data)

    def look(self, tag, attrs):
        line = self.getpos()[0]
        if tag in ("script", "link", "img", "iframe", "object", "embed", "base"):
            self.problems.append(f"line {line}: <{tag}> has no place here")
        for name, value in attrs:
            value = value or ""
            if name == "id":
                if value in self.ids:
                    self.problems.append(f"line {line}: the id {value} comes twice")
                self.ids.add(value)
            if name.startswith("on"):
                self.problems.append(f"line {line}: {name} runs a script")
            if name in ("href", "xlink:href", "src"):
                self.uses.add(value)
            self.uses.update(re.findall(r"url\(['\"]?([^'\")]*)", value))


def check(path):
    page = Page()
    with open(path, encoding="utf-8") as file:
        page.feed(file.read())
    page.close()
    page.problems += [f"<{tag}> is not closed" for tag in page.open]
    page.problems += [f"{use} leads nowhere" for use in page.uses if not (use[:1] == "#" and use[1:] in page.ids)]
    if "@import" in "".join(page.text):
        page.problems.append("the style sheet imports another")
    for problem in page.problems:
        print(f"{path}: {problem}")
    return not page.problems


if not all([check(path) for path in sys.argv[1:]]):
    sys.exit(1)
