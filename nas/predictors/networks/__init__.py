"""The networks of predictors; they need numpy or torch, and are imported where one is fitted."""
