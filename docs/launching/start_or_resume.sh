#!/bin/bash
# Begins a run, or goes on with it where its folder is there already, on the Ray cluster of this machine:
#   start_or_resume.sh RUN nas search experiments/quickstart.yaml --workers 8
# So a job that a scheduler starts again is the same command.
set -eu
run=$1
shift
if [ -d "$run" ]; then
    exec nas resume "$run" --address auto
fi
exec "$@" --run-dir "$run" --address auto
