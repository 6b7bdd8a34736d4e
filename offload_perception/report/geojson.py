"""Geotagged results as GeoJSON, which GIS programs open."""

from datetime import UTC, datetime
from typing import Any

from offload_perception.report.topic_table import Table


def feature_collection(geotags: Table) -> dict[str, Any]:
    """Return a feature for each geotagged result, as RFC 7946 has them.

    Altitudes are above the WGS 84 ellipsoid [m]. A result without a position has no geometry.
    """
    columns = (geotags[name].tolist() for name in (
        'position_valid', 'longitude', 'latitude', 'altitude', 'stamp_ns',
        'classification_labels', 'classification_scores', 'classification_trained', 'reason'))
    return {'type': 'FeatureCollection', 'features': [
        {'type': 'Feature', 'geometry': _point(*where) if valid else None,
         'properties': {'time': datetime.fromtimestamp(stamp * 1e-9, UTC).isoformat(),
                        'label': label, 'score': round(score, 4), 'trained': trained,
                        'reason': reason}}
        for valid, *where, stamp, label, score, trained, reason in zip(*columns, strict=True)]}


def _point(longitude: float, latitude: float, altitude: float) -> dict[str, Any]:
    return {'type': 'Point',
            'coordinates': [round(longitude, 8), round(latitude, 8), round(altitude, 3)]}
