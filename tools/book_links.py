"""Checks a built book: every link to another page, image or heading leads to one. Usage: book_links.py FOLDER"""

import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """The links of a page, and what can be linked to in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            # What a page asks of a browser alone (canonical names, styles of print) is a file, too.
            if name in ("href", "src") and value:
                self.links.append(value)


def main(folder):
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    broken, checked = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            # The page for what is not found has a base of its own; other sites are not asked.
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            checked += 1
            target = path.parent / urllib.parse.unquote(parts.path) if parts.path else path
            target = target.resolve()
            if not target.is_relative_to(folder) or not target.is_file():
                broken.append(f"{path.name}: {link}: no such file in the book")
            elif parts.fragment and target in pages and urllib.parse.unquote(parts.fragment) not in pages[target].anchors:
                broken.append(f"{path.name}: {link}: no such heading")
    print("\n".join(broken) or f"book: {len(pages)} pages, {checked} links, none broken")
    return 1 if broken or not checked else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
