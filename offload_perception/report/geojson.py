"""Geotagged results as GeoJSON, which GIS programs open."""

import json
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from offload_perception.report.topic_table import Table


def feature_collection(geotags: Table) -> dict[str, Any]:
    """Return a feature for each geotagged result, as RFC 7946 has them.

    Altitudes are above the WGS 84 ellipsoid [m]. A result without a position has no geometry.
    """
    columns = (geotags[name].tolist() for name in (
        'position_valid', 'longitude', 'latitude', 'altitude', *_PROPERTIES))
    return {'type': 'FeatureCollection', 'features': [
        {'type': 'Feature', 'geometry': _point(*row[1:4]) if row[0] else None,
         'properties': _properties(*row[4:])} for row in zip(*columns, strict=True)]}


_PROPERTIES = ('stamp_ns', 'classification_labels', 'classification_scores',
               'classification_found', 'classification_trained', 'reason')


def _properties(stamp: int, label: str, score: float, found: str, trained: bool,
                reason: str) -> dict[str, Any]:
    """Return what a program shows of a result: the best label, and how many of each if counted."""
    counted = {'found': json.loads(found)} if found else {}
    return {'time': datetime.fromtimestamp(stamp * 1e-9, UTC).isoformat(), 'label': label,
            'score': round(score, 4) if isfinite(score) else None, **counted,
            'trained': trained, 'reason': reason}


def _point(longitude: float, latitude: float, altitude: float) -> dict[str, Any]:
    return {'type': 'Point',
            'coordinates': [round(longitude, 8), round(latitude, 8), round(altitude, 3)]}
