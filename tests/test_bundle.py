"""The bundle of a page's scripts: in which order modules run, what is refused, and that the page gets no name of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aftertune
from aftertune.report.bundle import SHARED_FOLDER, bundle
from report_browser import chromium

PACKAGE = Path(aftertune.__file__).parent
EXPLAINERS = PACKAGE / "explainers"
OWN = sorted(PACKAGE.rglob("templates/*.js"))
PAGES = {
    "label": [PACKAGE / "labelling" / "templates" / "label.js"],
    "instance": [EXPLAINERS / "attribution" / "templates" / "instance.js"],
    "stages": [SHARED_FOLDER / "downloads.js"],
    "report": [
        *(SHARED_FOLDER / name for name in ("pages.js", "downloads.js", "sideways.js")),
        EXPLAINERS / "attribution" / "templates" / "list.js",
        *(EXPLAINERS / name / "templates" / f"{name}.js" for name in ("heads", "concepts")),
    ],
}


def write(folder: Path, **modules: str) -> list[Path]:
    """Modules of these texts; ``__`` in a name is a folder."""
    paths = [folder / f"{name.replace('__', '/')}.js" for name in modules]
    for path, text in zip(paths, modules.values(), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return paths


def in_order(script: str, *names: str) -> bool:
    """Whether these modules stand in the script once each, and so in this order."""
    found = [line.removeprefix("// ") for line in script.splitlines() if line.startswith("// ")]
    return [name for name in found if name in names] == list(names)


def test_a_module_stands_once_and_after_what_it_imports(tmp_path: Path) -> None:
    top, *_ = write(
        tmp_path,
        top='import { right } from "./right.js";\nimport { left } from "./left.js";\nleft(right);\n',
        left='import { low } from "./low.js";\nexport function left(value) { return low + value; }\n',
        right='import { low as base } from "./low.js";\nexport const right = base;\n',
        low="export const low = 1;\n",
    )
    script = bundle([top, tmp_path / "low.js"])
    assert in_order(script, "low.js", "right.js", "left.js", "top.js")
    assert "import" not in script and "export" not in script and "(function ({ low: base }) {" in script


def test_scripts_run_in_the_order_given(tmp_path: Path) -> None:
    one, two = write(tmp_path, one="first();\n", two="second();\n")
    assert bundle([two, one]).index("second()") < bundle([two, one]).index("first()")


def test_modules_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    paths = write(tmp_path, a__list="export const list = 1;\n", b__list="export const list = 2;\n")
    script = bundle(paths)
    assert "const list = 1;" in script and "const list = 2;" in script


def test_a_module_of_any_package_imports_what_every_page_may_use(tmp_path: Path) -> None:
    (path,) = write(tmp_path, far='import { element, cut as shorten } from "aftertune/basics.js";\nelement(shorten);\n')
    script = bundle([path, SHARED_FOLDER / "basics.js"])
    assert in_order(script, "basics.js", "far.js")


def test_imports_may_take_several_lines_and_a_module_may_end_in_a_comment(tmp_path: Path) -> None:
    path, _ = write(
        tmp_path,
        many='import {\n  one,\n  two,\n} from "./few.js";\nexport async function* run() { yield one; } // end',
        few="import { hideTip } from 'aftertune/basics.js'\nexport const one = hideTip;\nexport class two {}\n",
    )
    script = bundle([path])
    assert "(function ({ one, two }) {" in script and "(function ({ hideTip }) {" in script
    assert "return { run };" in script


def test_a_circle_is_refused_and_told(tmp_path: Path) -> None:
    a, *_ = write(
        tmp_path,
        a='import { b } from "./b.js";\nexport const a = b;\n',
        b='import { c } from "./c.js";\nexport const b = c;\n',
        c='import { b } from "./b.js";\nexport const c = b;\n',
    )
    with pytest.raises(ValueError, match=r"in a circle: b\.js imports c\.js imports b\.js\."):
        bundle([a])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'import { nothing } from "aftertune/basics.js";',
            r"odd\.js imports nothing, which basics\.js does not export",
        ),
        ('import { a } from "./lost.js";', r"lost\.js, which .*odd\.js imports, can't be read: No such file"),
        ('import { a } from "../other/a.js";', r"odd\.js imports from \.\./other/a\.js"),
        ('import { a } from "lodash";', r"odd\.js imports from lodash"),
        ('import { a b } from "./a.js";', r"odd\.js has an import that can't be read"),
        ('import "./a.js";', "odd.js has a line that can't be bundled: import"),
        ('import a from "./a.js";', "can't be bundled: import a from"),
        ('import * as a from "./a.js";', r"can't be bundled: import \* as a"),
        ("export let a = 1;", "can't be bundled: export let a"),
        ("export default 1;", "can't be bundled: export default 1"),
        ("const a = 1;\nexport { a };", "can't be bundled: export { a }"),
        ('export * from "./a.js";', r"can't be bundled: export \*"),
    ],
)
def test_what_cannot_be_bundled_is_refused_by_file_and_name(tmp_path: Path, text: str, told: str) -> None:
    odd, _ = write(tmp_path, odd=text, a="export const a = 1;\n")
    with pytest.raises(ValueError, match=told):
        bundle([odd])


def test_nothing_in_a_text_ends_the_script(tmp_path: Path) -> None:
    (path,) = write(tmp_path, text='const a = "</script><!--<script>", b = /<\\/SCRIPT|</u, c = `</Script >`;\n')
    script = bundle([path])
    assert "</script" not in script.lower() and "<!--" not in script
    assert '"\\x3c/script>\\x3c!--<script>"' in script


@pytest.mark.parametrize("page", PAGES)
def test_our_pages_can_be_bundled(page: str) -> None:
    assert bundle(PAGES[page]).startswith('(function () {\n"use strict";\n')


def test_every_script_is_part_of_a_page() -> None:
    used = "".join(bundle(scripts) for scripts in PAGES.values())
    assert [path.name for path in OWN if f"\n// {path.name}\n" not in used] == []


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from chromium(tmp_path_factory.mktemp("browser"))


# What a page's scripts left in the window, beside what a browser has there of itself.
RUN = """
const before = new Set(Object.getOwnPropertyNames(window)), script = document.createElement("script");
script.textContent = arguments[0];
document.head.append(script);
return Object.getOwnPropertyNames(window).filter((name) => !before.has(name));
"""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_gets_no_name_of_the_bundle(driver: Any, page: str) -> None:
    # Without its elements a script ends in an error; what it declares would be there before it.
    driver.get("data:text/html,<!doctype html><title>empty</title>")
    assert driver.execute_script(RUN, bundle(PAGES[page])) == []
    names = ("control", "element", "parsed", "pages", "Prompt", "module0")
    assert driver.execute_script("return arguments[0].filter((name) => name in window)", names) == []
    driver.get_log("browser")


@pytest.mark.slow
def test_a_bundle_runs_as_its_modules_would(driver: Any, tmp_path: Path) -> None:
    path, _ = write(
        tmp_path,
        top=(
            'import { text, Counter } from "./low.js";\n'
            "const counter = new Counter();\ncounter.add();\n"
            "document.title = `${text} ${counter.n} ${this === undefined}`;\n"
            'document.title += (() => { try { undeclared = 1; } catch { return " strict"; } })();\n'
        ),
        low=(
            'export const text = "</script><!-- <script>";\n'
            "export class Counter { n = 0; add() { step(this); } }\nfunction step(one) { one.n += 1; }\n"
        ),
    )
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><script>{bundle([path])}</script><p>rest</p>", "utf-8")
    driver.get(page.as_uri())
    assert driver.title == "</script><!-- <script> 1 true strict"
    assert driver.find_element("tag name", "p").text == "rest" and driver.get_log("browser") == []
