"""Fills an Evidently workspace with ten drift reports: ``evidently_data.py FOLDER`` prints the project."""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
from evidently.ui.workspace import Workspace

chances = np.random.default_rng(0)
names = [f"column {i}" for i in range(30)]
reference = pd.DataFrame(chances.normal(size=(1_000, 30)), columns=names)
workspace = Workspace.create(sys.argv[1])
project = workspace.create_project("bikes")
for day in range(10):
    current = pd.DataFrame(chances.normal(0.05 * day, 1, (1_000, 30)), columns=names)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    workspace.add_run(project.id, Report([DataDriftPreset()]).run(current, reference, timestamp=at))
print(project.id)
