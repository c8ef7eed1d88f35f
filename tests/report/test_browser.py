"""A real browser opens the page: nothing is missing, nothing sticks out on a phone, and it prints on a few pages."""

import html
import re
import shutil
import subprocess

import pytest

from .document import Document

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(BROWSERS)} is installed")

PHONE, DESKTOP = 360, 1200

MEASURE = """<!DOCTYPE html><title>measure</title><body>
<iframe width="{width}" height="800" srcdoc="{page}"></iframe>
<script>
document.querySelector("iframe").onload = event => {{
  const inside = event.target.contentDocument, root = inside.documentElement;
  const images = [...inside.images].filter(image => image.complete && image.naturalWidth > 0);
  document.body.dataset.found = [root.scrollWidth, root.scrollHeight, images.length].join(" ");
}};
</script>"""


@pytest.fixture
def browse(tmp_path):
    """Function that opens a page with options of Chromium, and returns what it printed."""

    def run(page: str, *options: str) -> subprocess.CompletedProcess:
        (tmp_path / "page.html").write_text(page, "utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}", *options)
        command = [BROWSER, *options, (tmp_path / "page.html").as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    return run


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_nothing_sticks_out(browse, source, width):
    page = MEASURE.format(width=width, page=html.escape(source("three inputs")))
    (found,) = re.findall(r'data-found="([^"]+)"', browse(page, "--virtual-time-budget=5000", "--dump-dom").stdout)
    wide, high, images = map(int, found.split())
    assert wide <= width
    assert 3000 < high < 40_000
    assert images == 4


@pytest.mark.parametrize("case", ["one input", "hostile names"])
def test_the_browser_reads_what_was_written(browse, source, case):
    result = browse(source(case), "--enable-logging=stderr", "--v=0", "--dump-dom")
    assert "CONSOLE" not in result.stderr
    written, read = Document(source(case)), Document(result.stdout.split("</html>")[0] + "</html>")
    assert read.inside("title") == written.inside("title")
    assert [element.name for element in read.elements] == [element.name for element in written.elements]
    assert read.text == written.text


def test_pictures_of_the_page_and_print(browse, source, tmp_path):
    browse(source("one input"), "--window-size=1000,4000", f"--screenshot={tmp_path / 'page.png'}")
    assert (tmp_path / "page.png").stat().st_size > 50_000
    browse(source("one input"), "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'page.pdf'}")
    pages = len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes()))
    assert 4 <= pages <= 15
