"""Panels of Kibana's Lens, as a dashboard of 8.9 has them by value: columns of a layer, what draws them, and where they stand."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

Place = tuple[int, int, int, int]
"""x, y, width and height, of 48 columns."""

VIEW = "trackline-logs"
"""The data view's id: that of every layer and control."""
LAYER = "layer"


def histogram() -> Json:
    """Time, in buckets that fit the range shown."""
    params = {"interval": "auto", "includeEmptyRows": True, "dropPartials": False}
    return _column("date_histogram", "@timestamp", "@timestamp", "date", params, bucketed=True, scale="interval")


def values(field: str, label: str, size: int, *, by: str, missing: bool = False) -> Json:
    """The values of a field, as many as ``size``, those with the most of the column ``by`` first."""
    params = {
        "size": size,
        "orderBy": {"type": "column", "columnId": by},
        "orderDirection": "desc",
        "otherBucket": False,
        "missingBucket": missing,
        "parentFormat": {"id": "terms"},
        "include": [],
        "exclude": [],
        "includeIsRegex": False,
        "excludeIsRegex": False,
    }
    return _column("terms", field, label, "string", params, bucketed=True, scale="ordinal")


def count(label: str, only: str = "") -> Json:
    """How many lines there are; with ``only``, a KQL query, how many of them it takes."""
    column = _column("count", "___records___", label, "number", {"emptyAsNull": False})
    return column | ({"filter": {"query": only, "language": "kuery"}} if only else {})


def total(field: str, label: str) -> Json:
    """The sum of a field; 0 and not nothing where there is none, since that is what one hopes to see."""
    return _column("sum", field, label, "number", {"emptyAsNull": False})


def unique(field: str, label: str) -> Json:
    """How many different values there are, about."""
    return _column("unique_count", field, label, "number", {"emptyAsNull": False})


def largest(field: str, label: str) -> Json:
    """The largest value of a field."""
    return _column("max", field, label, "number", {"emptyAsNull": True})


def percentile(field: str, percent: int, label: str) -> Json:
    """The value of a field that so many percent of the lines stay below."""
    return _column("percentile", field, label, "number", {"percentile": percent})


def metric(column: Json, query: str = "") -> Json:
    """One figure."""
    return _lens("lnsMetric", {"value": column}, query, {"layerId": LAYER, "layerType": "data", "metricAccessor": "value"})


def datatable(columns: dict[str, Json], query: str, *, sort: str) -> Json:
    """A table, sorted by a column, the most first."""
    shown = [{"columnId": name, "isTransposed": False, "isMetric": not column["isBucketed"]} for name, column in columns.items()]
    state = {
        "layerId": LAYER,
        "layerType": "data",
        "columns": shown,
        "sorting": {"columnId": sort, "direction": "desc"},
        "paging": {"size": 10, "enabled": True},
    }
    return _lens("lnsDatatable", columns, query, state)


def xy(series: str, columns: dict[str, Json], query: str = "") -> Json:
    """A chart over time: the first column is the time, a second bucket splits it into series, the rest are drawn."""
    (time, *split), drawn = _names(columns, bucketed=True), _names(columns, bucketed=False)
    layer = {"layerId": LAYER, "layerType": "data", "seriesType": series, "xAccessor": time, "accessors": drawn}
    if split:
        layer["splitAccessor"] = split[0]
    state = {
        "preferredSeriesType": series,
        "legend": {"isVisible": True, "position": "bottom"},
        "valueLabels": "hide",
        "fittingFunction": "None",
        "axisTitlesVisibilitySettings": {"x": False, "yLeft": False, "yRight": False},
        "layers": [layer],
    }
    return _lens("lnsXY", columns, query, state)


def panel(name: str, place: Place, title: str, lens: Json) -> Json:
    """Give a panel with a Lens by value. Its ``references`` belong to the dashboard."""
    shown = {"attributes": lens, "enhancements": {}} if title else {"attributes": lens, "enhancements": {}, "hidePanelTitles": True}
    references = [{**one, "name": f"{name}:{one['name']}"} for one in lens["references"]]
    return _panel(name, place, title) | {"type": "lens", "embeddableConfig": shown, "references": references}


def search_panel(name: str, place: Place, title: str, search: str) -> Json:
    """Give a panel with a saved search, by its id. Its ``references`` belong to the dashboard."""
    references = [{"name": f"{name}:panel_{name}", "type": "search", "id": search}]
    shown = {"type": "search", "panelRefName": f"panel_{name}", "embeddableConfig": {"enhancements": {}}, "references": references}
    return _panel(name, place, title) | shown


def _panel(name: str, place: Place, title: str) -> Json:
    x, y, width, height = place
    shown = {"gridData": {"x": x, "y": y, "w": width, "h": height, "i": name}, "panelIndex": name, "version": "8.9.0"}
    return shown | ({"title": title} if title else {})


def _column(operation: str, field: str, label: str, kind: str, params: Json, *, bucketed: bool = False, scale: str = "ratio") -> Json:
    return {
        "operationType": operation,
        "sourceField": field,
        "label": label,
        "customLabel": True,
        "dataType": kind,
        "isBucketed": bucketed,
        "scale": scale,
        "params": params,
    }


def _lens(kind: str, columns: dict[str, Json], query: str, visualization: Json) -> Json:
    # Buckets stand before metrics in a layer, in the order in which they nest.
    order = _names(columns, bucketed=True) + _names(columns, bucketed=False)
    layer = {"columns": columns, "columnOrder": order, "incompleteColumns": {}}
    return {
        "title": "",
        "type": "lens",
        "visualizationType": kind,
        "references": [{"name": f"indexpattern-datasource-layer-{LAYER}", "type": "index-pattern", "id": VIEW}],
        "state": {
            "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
            "visualization": visualization,
            "query": {"query": query, "language": "kuery"},
            "filters": [],
            "internalReferences": [],
            "adHocDataViews": {},
        },
    }


def _names(columns: dict[str, Json], *, bucketed: bool) -> list[str]:
    return [name for name, column in columns.items() if column["isBucketed"] is bucketed]
