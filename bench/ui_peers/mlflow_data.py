"""Fills an MLflow database as a project of a year would: ``mlflow_data.py URI``."""

import sys

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("bikes")
client = mlflow.MlflowClient()
client.create_registered_model("bikes")
for number in range(50):
    with mlflow.start_run(run_name=f"v{number}") as run:
        mlflow.log_params({f"param {i}": i for i in range(10)})
        mlflow.log_metrics({f"metric {i}": 1 / (1 + i + number) for i in range(10)})
    if number % 5 == 0:
        made = client.create_model_version("bikes", source=f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
client.set_registered_model_alias("bikes", "champion", made.version)
