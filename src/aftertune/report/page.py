"""From results to a report: the page, the tables and the figures in one folder.

1. Tables 1 to 12, the numbers of figures 2 and 6, the list of prompts and the table of rotation, each as CSV, LaTeX and
   Markdown; the lists of heads and of feed-forward networks, the numbers of figures 3, 7 and 8, and how far an
   annotator's repeats agree, as CSV.
2. Figures as SVG and PNG, and the salient maps of the first prompts as SVG.
3. The page: one file that fetches nothing (its content security policy forbids it), with the same tables and
   figures in it, and the maps, the heads' word pairs and the networks' components as compressed data that are drawn
   when they are asked for.

What was not run has no section: a page is of prompts, of heads, of concepts, or of any of them.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aftertune.explainers.annotation.page_data import annotations_view, component_notes
from aftertune.explainers.concepts.page_data import concepts_view
from aftertune.explainers.heads.page_data import heads_view
from aftertune.explainers.heads.tables import AS_READ
from aftertune.report import colours
from aftertune.report.bundle import bundle
from aftertune.report.captions import CAPTIONS, EMPTY, TITLES
from aftertune.report.charts import charts_of
from aftertune.report.contents import ReportContents
from aftertune.report.evidence import REMOVALS, check_sentence, depth_sentence, describe, flatten, not_run, to_look_at
from aftertune.report.figures import Spec, map_chart, pair_chart, shorten
from aftertune.report.formats import HTML, PLAIN
from aftertune.report.packing import packed
from aftertune.report.prompts import PromptPair, pair_maps, rating_in_words, side_of, to_script_json
from aftertune.report.render import to_svg, write_picture
from aftertune.report.tables import COLUMNS, TEXT_KINDS, cells_of, columns_of, shown_rows, table_texts
from aftertune.runs.parts import write_text
from aftertune.runs.readable import visible

TEMPLATES = Path(__file__).parent / "templates"
EXPLAINERS = Path(__file__).parents[1] / "explainers"
FOLDERS = (TEMPLATES, *(EXPLAINERS / name / "templates" for name in ("attribution", "heads", "concepts", "annotation")))
N_MAPS_DRAWN = 12
LONGEST_FILE_ID = 80
SNIPPET = 150
ROLES = ("base", "tuned")
SCRIPTS = {"list.js": "comparison", "heads.js": "heads", "concepts.js": "concepts"}
DRAWN = ("figure6", "scores", "figure2", "figure8", "angles", "figure3", "figure7")
IN_PAGE = ("table1", "table2", "table3", "rotation", "chance", "unmatched", "categories", "clearest")


def write_report(folder: Path, contents: ReportContents, n_maps_drawn: int = N_MAPS_DRAWN) -> Path:
    """Write ``report.html``, ``tables/`` and ``figures/`` into ``folder``; returns the page's path.

    The salient maps of the first ``n_maps_drawn`` prompts become SVG files too; all of them stand in the page. Each
    file is written whole or not at all. Raises `RunError` if that fails, or if a model has two maps of one prompt.
    """
    pairs, texts, charts = pair_maps(contents), table_texts(contents), charts_of(contents)
    write_files(folder, texts, charts)
    for pair in pairs[:n_maps_drawn]:
        write_picture(folder / "figures" / f"map-{file_id(pair)}.svg", _map_of(pair))
    page = folder / "report.html"
    write_text(page, render_page(contents, pairs, texts, charts))
    return page


def write_files(folder: Path, texts: Mapping[str, Mapping[str, str]], charts: Mapping[str, Spec]) -> None:
    """Write tables by name and suffix, and figures by name as SVG and PNG; raises `RunError` if that fails."""
    for name, formats in texts.items():
        for suffix, text in formats.items():
            write_text(folder / "tables" / f"{name}.{suffix}", text)
    for name, chart in charts.items():
        write_picture(folder / "figures" / f"{name}.svg", chart)
        write_picture(folder / "figures" / f"{name}.png", chart)


def render_page(
    contents: ReportContents,
    pairs: Sequence[PromptPair],
    texts: Mapping[str, Mapping[str, str]],
    charts: Mapping[str, Spec],
) -> str:
    """The page's HTML."""
    rows = [_list_row(number, pair) for number, pair in enumerate(pairs)]
    findings = [_with_links(finding, pairs) for finding in contents.findings]
    return (
        environment()
        .get_template("report.html")
        .render(
            contents=contents,
            stated=[finding for finding in findings if not finding["links"]],
            linked=[finding for finding in findings if finding["links"]],
            tables={name: _html_table(contents, name) for name in IN_PAGE},
            figures={name: Markup(to_svg(charts[name])) for name in DRAWN if name in charts},
            heads=_heads(contents),
            concepts=_concepts(contents),
            annotations=annotations_view(contents.annotations) if contents.annotations is not None else None,
            notes=packed(component_notes(contents.annotations["described"])) if contents.annotations else None,
            rows=rows,
            scripts=[name for name, found in SCRIPTS.items() if getattr(contents, found) is not None],
            rated={role: n for role in ROLES if (n := sum(row["ratings"][role] is not None for row in rows))},
            widest=max((abs(row["difference"] or 0) for row in rows), default=0) or 1,
            datasets=list(dict.fromkeys(pair.dataset for pair in pairs)),
            payloads=[packed(_payload(pair)) for pair in pairs],
            index=[visible(f"{pair.id} {pair.text}".lower()) for pair in pairs],
            texts=texts,
            settings=list(flatten(_settings(contents))),
            check=check_sentence(contents.check) if contents.check else None,
            not_run=not_run(contents),
            to_look_at=to_look_at(contents),
            captions=CAPTIONS,
            titles=TITLES,
            empty=EMPTY,
        )
    )


@cache
def environment() -> Environment:
    """The templates, with everything escaped that is not marked as markup of our own."""
    found = Environment(
        loader=FileSystemLoader(FOLDERS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "depth_sentence": depth_sentence,
        "describe": describe,
        "how_removed": lambda removal: REMOVALS.get(removal, removal),
        "flatten": lambda value: list(flatten(value)),
        "fmt": lambda v, k: HTML[k](v),
    }
    found.filters["script_json"] = lambda data: Markup(to_script_json(data))
    found.globals |= {
        "source": lambda name: Markup(_found(name).read_text("utf-8")),
        "bundle": lambda *names: Markup(bundle([_found(name) for name in names])),
        "light_ramp": colours.ramp(colours.LIGHT_RAMP),
        "dark_ramp": colours.ramp(colours.DARK_RAMP),
    }
    return found


def _found(name: str) -> Path:
    return next(folder / name for folder in FOLDERS if (folder / name).exists())


def file_id(pair: PromptPair) -> str:
    """The prompt's id as part of a file name: changed or long ids carry a digest, so that no two are the same."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", pair.id)[:LONGEST_FILE_ID]
    if plain == pair.id:
        return plain
    return f"{plain}-{hashlib.sha256(f'{pair.dataset}/{pair.id}'.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _map_of(pair: PromptPair) -> Spec:
    if pair.base is not None and pair.tuned is not None:
        return pair_chart(pair.base, pair.tuned)
    only = pair.base or pair.tuned
    assert only is not None, "a pair is made from at least one map"
    return map_chart(only)


def _heads(contents: ReportContents) -> dict[str, Any] | None:
    return heads_view(contents.heads, contents.base, contents.tuned) if contents.heads is not None else None


def _concepts(contents: ReportContents) -> dict[str, Any] | None:
    if contents.concepts is None:
        return None
    return concepts_view(contents.concepts, contents.base, contents.tuned)


def _settings(contents: ReportContents) -> dict[str, Any]:
    parts = {"heads": contents.heads, "concepts": contents.concepts}
    own = {name: part["settings"] for name, part in parts.items() if part is not None and part["settings"]}
    return contents.settings | own


def _html_table(contents: ReportContents, name: str) -> dict[str, Any]:
    columns, rows = columns_of(contents, name), shown_rows(contents, name)
    return {
        "heads": [(title, kind in TEXT_KINDS) for title, kind, _ in columns],
        "rows": cells_of(rows, columns, HTML),
        "quiet": [row.get("lists", AS_READ) != AS_READ for row in rows],
    }


def _with_links(finding: dict[str, Any], pairs: Sequence[PromptPair]) -> dict[str, Any]:
    """A finding with the numbers of the prompts to look at, as far as the page has them."""
    numbers = {(pair.dataset, pair.id): number for number, pair in enumerate(pairs)}
    named = [tuple(name) for name in finding.get("prompts", ())]
    return finding | {"links": [{"number": numbers[name], "id": visible(name[1])} for name in named if name in numbers]}


def _list_row(number: int, pair: PromptPair) -> dict[str, Any]:
    row = pair.row or {}
    names = [key for _, _, key in COLUMNS["instances"]]
    values = {name: row.get(name) for name in names} | {"id": pair.id, "dataset": pair.dataset}
    text = visible(" ".join(pair.text.split()))
    sides = {"base": pair.base, "tuned": pair.tuned}
    return values | {
        "number": number,
        "snippet": shorten(text, SNIPPET),
        "repetitive": [role for role in ROLES if row.get(f"repetitive_{role}")],
        "ratings": {role: side.helpfulness if side is not None else None for role, side in sides.items()},
        "followed": {role: rating_in_words(side) for role, side in sides.items()},
    }


def _payload(pair: PromptPair) -> dict[str, Any]:
    row = pair.row or {}
    sides = []
    for role, salient in (("base", pair.base), ("tuned", pair.tuned)):
        if salient is None:
            sides.append({"role": role, "missing": True})
            continue
        facts = {
            "score": PLAIN["number"](row.get(f"score_{role}")),
            "copied": row.get(f"copied_share_{role}"),
            "repetitive": bool(row.get(f"repetitive_{role}")),
            "helpfulness": salient.helpfulness,
        }
        sides.append({"role": role, **side_of(salient), **facts})
    return {"id": pair.id, "sides": sides}
