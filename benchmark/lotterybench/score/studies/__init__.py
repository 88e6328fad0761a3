"""Reports of ticket studies, made of their findings alone."""

from typing import Any

from lotterybench.registry import Registry

# Called as report[kind](study, findings); returns the record of that kind's report.
report: Registry[Any] = Registry("report")

_HERE = "lotterybench.score.studies"
report.lazy("tickets", at=f"{_HERE}.tickets:report_of")
report.lazy("transfer", at=f"{_HERE}.transfer:report_of")
report.lazy("pretrained", at=f"{_HERE}.pretrained:report_of")
report.lazy("acceleration", at=f"{_HERE}.acceleration:report_of")
