"""Reading the lines back from Elasticsearch: the same story, and the proof that they have all arrived, each once."""

from trackline.search.elasticsearch.find import find_lines

__all__ = ["find_lines"]
