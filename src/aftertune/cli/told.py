"""What a comparison tells before it begins and when it is done."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from aftertune.cli.progress import Display
    from aftertune.explainers.attribution.change import Comparison
    from aftertune.study.expected.intent import Intent
    from aftertune.study.stages import Lineage


def announce(display: "Display", skipped: Sequence[str], intent: "Intent") -> None:
    """Tell what was chosen, and how long it will take."""
    from aftertune.study.expected.prepare import prepare

    display.begin(*prepare(intent, skipped))


def tell(found: "Comparison | Lineage", as_json: bool, run: str | None = None) -> None:
    """Tell what was found: as JSON, in full, or of a run in a few sentences with the place of its report."""
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
        return
    from aftertune.explainers.attribution.change import Comparison
    from aftertune.explainers.attribution.findings import describe
    from aftertune.study.stage_findings import describe_lineage
    from aftertune.study.summary import summarise

    findings = describe(found) if isinstance(found, Comparison) else describe_lineage(found)
    if run is None:
        for finding in findings:
            typer.echo(f"- {finding.headline}\n  {finding.sentence}")
        return
    for sentence in summarise(findings):
        typer.echo(f"- {sentence}")
    typer.echo(f"\nReport: {run.rstrip('/')}/report.html")
