"""Reading the lines back: from files, as one story; and the proof that they are all there."""

from trackline.search.account import ProcessAudit
from trackline.search.audit import AuditReport, audit
from trackline.search.files import find_lines
from trackline.search.line import Line
from trackline.search.story import render_story

__all__ = ["AuditReport", "Line", "ProcessAudit", "audit", "find_lines", "render_story"]
