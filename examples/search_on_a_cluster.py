"""Search for the best head on all cores of a Ray cluster: of this machine, or the one that RAY_ADDRESS names."""

import os

import joblib
import ray
from faces import read_faces
from ray.util.joblib import register_ray
from sklearn.model_selection import GridSearchCV

from maskkit import MaskClassifier

(images, labels), (new_images, new_labels) = read_faces()
model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0)
search = GridSearchCV(model, {"head__hidden_units": [30, 300]}, cv=3)

os.environ.setdefault(
    "RAY_USAGE_STATS_ENABLED", "0"
)  # else Ray reports its use to its makers
ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
register_ray()
# On Dask: distributed.Client(ADDRESS), then parallel_config("dask", n_jobs=-1).
with joblib.parallel_config("ray", n_jobs=-1):
    search.fit(images, labels)

print(
    f"best: {search.best_params_}, on new faces {search.score(new_images, new_labels):.3f}"
)
