"""Search for the best head on all cores of a Ray cluster.

It uses this machine, or the cluster in RAY_ADDRESS. Requires maskkit[ray].
"""

import os

import joblib
import ray
from ray.util.joblib import register_ray
from sklearn.model_selection import GridSearchCV

from maskkit import MaskClassifier
from maskkit.testing import make_faces

images, labels = make_faces(36)
new_images, new_labels = make_faces(12, random_state=1)
model = MaskClassifier(
    "efficientnet_lite0", image_size=64, fine_tune=False, random_state=0
)
search = GridSearchCV(model, {"head__hidden_units": [30, 300]}, cv=3)

os.environ.setdefault(
    "RAY_USAGE_STATS_ENABLED", "0"
)  # otherwise Ray sends usage statistics
ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
register_ray()
# On Dask: distributed.Client(ADDRESS), then parallel_config("dask", n_jobs=-1).
with joblib.parallel_config("ray", n_jobs=-1):
    search.fit(images, labels)

accuracy = search.score(new_images, new_labels)
print(f"best: {search.best_params_}, on new faces {accuracy:.3f}")
