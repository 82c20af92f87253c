"""The page as a browser shows it, at the width of a desk and of a phone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from books.report import build_report
from books.report.publish import publish

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)

MEASURE = """<iframe id=page src="{page}" style="width:{width}px;height:900px;border:0"></iframe>
<pre id=found></pre>
<script>
onload = () => {{
  const page = document.getElementById("page").contentDocument;
  const height = (one) => one.getBoundingClientRect().height;
  const shown = (what) => [...page.querySelectorAll(what)].filter((one) => height(one) > 0);
  document.getElementById("found").textContent = "overflow=" + (page.documentElement.scrollWidth - {width})
    + " headings=" + page.querySelectorAll("h2").length + " charts=" + page.querySelectorAll(".chart").length
    + " bars=" + page.querySelectorAll(".bar").length + " drawn=" + shown(".track i").length
    + " letters=" + Math.floor(Math.min(...shown(".bar .of").map(height)));
}};
</script>"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1180, 390])
def test_the_page_fits_the_screen(warehouse, tmp_path: Path, width: int):
    """Nothing sticks out sideways, on a desk or on a phone; each bar is drawn, in letters that can be read."""
    published = publish(warehouse.build, tmp_path / "books.duckdb")
    page = build_report(published, tmp_path, environment="sandbox").html
    frame = tmp_path / "frame.html"
    frame.write_text(MEASURE.format(page=page.name, width=width))
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width + 60},1000",
            "--virtual-time-budget=3000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = dict(part.split("=") for part in done.stdout.split('<pre id="found">')[1].split("</pre>")[0].split())
    assert int(found["overflow"]) <= 0
    assert int(found["headings"]) >= 5
    assert int(found["charts"]) >= 2
    assert found["drawn"] == found["bars"]
    assert int(found["letters"]) >= 11
