"""What stands behind `nas.strategies.optuna`; imported only where Optuna is used."""
