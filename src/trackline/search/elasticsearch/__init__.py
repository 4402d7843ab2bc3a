"""Reading the lines back from Elasticsearch: the same story, and the proof that they have all arrived, each once."""

from trackline.search.elasticsearch.audit import ComparisonReport, audit_arrival, audit_index
from trackline.search.elasticsearch.comparison import ProcessComparison
from trackline.search.elasticsearch.find import find_lines

__all__ = ["ComparisonReport", "ProcessComparison", "audit_arrival", "audit_index", "find_lines"]
