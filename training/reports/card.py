"""The figures of the model card, and the bars that a new model has to hold against the last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

Report = Mapping[str, Any]  # as training.evaluate writes it: what has no value is None
CARD = "MODEL_CARD.md"
TABLES = ("figures", "libraries")
PROMISED = 0.99  # of tags, at the default threshold
_LESS = 0.005  # than the last model, the difference that is put up with
_MOST_ECE = 0.03
_MOST_BYTES = 30e6


class Bar(NamedTuple):
    """A figure and what it must reach, or where `is_most` must not exceed."""

    name: str
    value: float
    bound: float
    is_most: bool = False

    @property
    def is_held(self) -> bool:
        """A figure that has no value holds nothing."""
        return self.value <= self.bound if self.is_most else self.value >= self.bound

    def __str__(self) -> str:
        sign = "at most" if self.is_most else "at least"
        verdict = "held" if self.is_held else "NOT HELD"
        return f"{self.name}: {self.value:.4g}, {sign} {self.bound:.4g}: {verdict}"


def bars_of(name: str, new: Report, last: Report) -> list[Bar]:
    """The bars of a group of photos by the reports of both models on the same photos.

    Where the last model has no figure, any will do.
    """
    tags, before = (report["thresholds"][f"{PROMISED:g}"] for report in (new, last))

    def no_worse(title: str, value: float | None, was: float | None) -> Bar:
        bound = -math.inf if was is None else was - _LESS
        return Bar(f"{name}, {title}", _number(value), bound)

    recall = f"recall_at_precision_{PROMISED:g}"
    return [
        no_worse("top-1", new["top1"], last["top1"]),
        no_worse("recall at 99 % precision", new[recall], last[recall]),
        Bar(f"{name}, tags right", _number(tags.get("precision")), PROMISED),
        no_worse("photos tagged rightly", tags.get("recall"), before.get("recall")),
        Bar(f"{name}, calibration error", _number(new["ece"]), _MOST_ECE, is_most=True),
    ]


def size_bar(size: int) -> Bar:
    """That of the model file, in megabytes."""
    return Bar("megabytes", size / 1e6, _MOST_BYTES / 1e6, is_most=True)


def format_figures(reports: Mapping[str, Report]) -> str:
    """A Markdown table of the reports by their names, as the card has it."""
    columns = [_column(report) for report in reports.values()]
    lines = ["| | " + " | ".join(reports) + " |", "|---" * (len(reports) + 1) + "|"]
    for (name, _), *cells in zip(columns[0], *columns, strict=True):
        lines.append("| " + " | ".join([name, *(text for _, text in cells)]) + " |")
    return "\n".join(lines)


def _column(report: Report) -> list[tuple[str, str]]:
    """One report's figures, each with the name of its row."""
    counts = (report[name] for name in ("known_landmarks", "negatives", "other_landmarks"))
    recalls = (report[f"recall_at_precision_{precision}"] for precision in ("0.95", "0.99"))
    rows = [
        ("photos of its landmarks / of nothing / of other landmarks", " / ".join(map(str, counts))),
        ("top-1", _percent(report["top1"])),
        ("top-5", _percent(report["top5"])),
        ("GAP, negatives included", _decimal(report["gap"])),
        ("recall at 95 % / 99 % precision", " / ".join(map(_percent, recalls))),
    ]
    for precision in ("0.99", "0.95"):
        point = report["thresholds"][precision]
        title = f"at the shipped threshold for {precision[2:]} %: precision, recall"
        rows.append((title, _percents(point, "precision", "recall")))
        refused = _percents(point, "negatives_refused", "other_landmarks_refused")
        rows.append(("refused there: negatives, other landmarks", refused))
    nothing = report["no_landmark"]
    both = f"{_decimal(nothing['auroc'])}, {_percent(nothing['fpr95'])}"
    rows.append(('AUROC and FPR95 of "no landmark"', both))
    rows.append(("expected calibration error", _decimal(report["ece"])))
    return rows


def format_libraries(reports: Mapping[str, Report]) -> str:
    """A Markdown table of what tags are worth in libraries with few landmarks."""
    titles = [f"{name}: {what}" for name in reports for what in ("precision", "recall")]
    header = " | ".join(["share of landmarks", f"estimated ({next(iter(reports))})", *titles])
    lines = [f"| {header} |", "|---" * (len(titles) + 2) + "|"]
    for libraries in zip(*(report["libraries"] for report in reports.values()), strict=False):
        first = libraries[0]
        cells = [f"{100 * first['share']:.0f} %", _percent(first["estimated"][1])]
        for library in libraries:
            low, middle, high = map(_percent, library["precision"])
            cells += [f"{middle} ({low} to {high})", _percent(library["recall"][1])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def mark(name: str, split: str) -> tuple[str, str]:
    """What a table of the card stands between, by its name and its photos' split."""
    return f"<!-- {name}, {split} -->", f"<!-- end of {name}, {split} -->"


def with_tables(card: str, reports: Mapping[str, Report], split: str) -> str:
    """The card with the tables of these reports between their marks; one that it has no marks for
    is left out."""
    made = (format_figures(reports), format_libraries(reports))
    for name, table in zip(TABLES, made, strict=True):
        opening, closing = mark(name, split)
        before, begin, rest = card.partition(opening)
        _, end, after = rest.partition(closing)
        card = f"{before}{begin}\n{table}\n{end}{after}" if begin and end else card
    return card


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _percents(point: Mapping[str, float | None], *names: str) -> str:
    return ", ".join(_percent(point.get(name)) for name in names)
