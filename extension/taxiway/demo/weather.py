"""Seattle's daily weather, 2012 to 2015, as vega_datasets ships it; and a model of rain.

The question is whether a day has rain; the features are the day's temperatures and wind (which a
forecast gives) and what fell, and was noted, the day before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NUMERIC = ["temp_max", "temp_min", "wind", "precipitation_yesterday"]
CATEGORICAL = ["weather_yesterday"]
FEATURES = NUMERIC + CATEGORICAL
TARGET = "rain"


def days() -> pd.DataFrame:
    """Give one row a day.

    Returns
    -------
    pandas.DataFrame
        Shape (1460, 7): ``date`` (midnight UTC), the features (°C, m/s, mm, text) and ``rain``
        (``"rain"`` or ``"dry"``).
    """
    import numpy as np
    from vega_datasets import local_data

    weather = local_data.seattle_weather()
    weather["precipitation_yesterday"] = weather["precipitation"].shift(1)
    weather["weather_yesterday"] = weather["weather"].shift(1)
    weather[TARGET] = np.where(weather["precipitation"] > 0, "rain", "dry")
    weather["date"] = weather["date"].dt.tz_localize("UTC")
    whole: pd.DataFrame = weather.iloc[1:][["date", *FEATURES, TARGET]].reset_index(drop=True)
    return whole


def pipeline() -> Any:
    """Make the unfitted scikit-learn pipeline."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    return make_pipeline(
        make_column_transformer(
            (StandardScaler(), NUMERIC), (OneHotEncoder(handle_unknown="ignore"), CATEGORICAL)
        ),
        RandomForestClassifier(200, min_samples_leaf=3, random_state=0),
    )
