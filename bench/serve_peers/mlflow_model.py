"""Writes the LightGBM model MODEL_FILE as an MLflow model into FOLDER."""

import sys

import lightgbm
import mlflow.lightgbm

mlflow.lightgbm.save_model(lightgbm.Booster(model_file=sys.argv[1]), sys.argv[2])
