"""A vetiver API of the scikit-learn pipeline; ``vetiver_api.py PIPELINE PORT``."""

from __future__ import annotations

import sys

import joblib
import uvicorn
from sklearn.datasets import load_breast_cancer
from vetiver import VetiverAPI, VetiverModel

if __name__ == "__main__":
    frame = load_breast_cancer(as_frame=True).data
    prototype = frame.set_axis([name.replace(" ", "_") for name in frame.columns], axis="columns").head(1)
    model = VetiverModel(joblib.load(sys.argv[1]), "cancer", prototype_data=prototype)
    uvicorn.run(
        VetiverAPI(model, check_prototype=True).app,
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        log_level="error",
        access_log=False,
    )
